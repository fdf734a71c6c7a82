// The pattern beside it does not match the root.
export { default } from './[...path].js'
