// Stands for a package that does not work in workerd.
export default undefined
