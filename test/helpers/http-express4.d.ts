// The types of Express 5 fit what the tests use of Express 4.
declare module 'express4' {
  import express from 'express'
  export default express
}
