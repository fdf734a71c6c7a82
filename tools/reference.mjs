import { join } from 'node:path'
import { Application } from 'typedoc'
import { root, subpaths } from './package.mjs'

/** Writes the API reference, one page for each subpath, from the docstrings of the sources. */
export async function writeReference(folder) {
  const application = await Application.bootstrapWithPlugins({
    plugin: ['typedoc-plugin-markdown'],
    entryPoints: subpaths.map(({ module }) => join(root, 'src', `${module}.ts`)),
    tsconfig: join(root, 'tsconfig.build.json'),
    basePath: join(root, 'src'),
    name: 'API reference',
    readme: 'none',
    hideGenerator: true,
    disableSources: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    logLevel: 'Error',
    router: 'module',
    outputs: [{ name: 'markdown', path: folder }],
    hidePageHeader: true,
    hideBreadcrumbs: true,
    expandObjects: true,
    expandParameters: true,
    useCodeBlocks: true,
    useHTMLAnchors: true,
    interfacePropertiesFormat: 'table',
    parametersFormat: 'table',
  })
  const project = await application.convert()
  if (!project) throw new Error('typedoc could not read the sources')
  for (const page of project.children ?? []) {
    const subpath = subpaths.find(({ module }) => module === page.name || module === `${page.name}/index`)
    if (subpath) page.name = subpath.name
  }
  await application.generateOutputs(project)
  if (application.logger.hasErrors()) throw new Error('typedoc reported errors')
}
