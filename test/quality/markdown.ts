import { readFileSync } from 'node:fs'

export interface CodeBlock {
  readonly language: string
  readonly text: string
  /** The last file name in the paragraph before it: "save this as `server.mjs`:". */
  readonly fileName: string | undefined
}

/** What a test wants to know of a Markdown file. */
export interface Markdown {
  readonly text: string
  readonly codeBlocks: readonly CodeBlock[]
  /** Where the links outside of code lead, as they are written. */
  readonly links: readonly string[]
  /** What a link may name behind `#`. */
  readonly anchors: ReadonlySet<string>
}

const FENCED = /^```([\w-]*)\n([\s\S]*?)^```$/gm

export function readMarkdown(file: string): Markdown {
  const text = readFileSync(file, 'utf8')
  const prose = text.replace(FENCED, '')
  return {
    text,
    codeBlocks: Array.from(text.matchAll(FENCED), ({ 1: language = '', 2: code = '', index }) => ({
      language,
      text: code,
      fileName: fileNameIn(text.slice(0, index)),
    })),
    links: Array.from(prose.replace(/`[^`\n]*`/g, '``').matchAll(/\]\(([^()\s]+)\)/g), ([, target = '']) => target),
    anchors: anchorsOf(prose),
  }
}

/** The names in the first column of the tables below a heading, which are written as code. */
export function namesInTable({ text }: Markdown, heading: string): string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  const firstCells = Array.from(section.matchAll(/^\|([^|]*)\|/gm), ([, cell = '']) => cell)
  return firstCells.flatMap((cell) => Array.from(cell.matchAll(/`(\w+)`/g), ([, name = '']) => name))
}

function fileNameIn(before: string): string | undefined {
  const paragraph = before.trimEnd().split('\n\n').at(-1) ?? ''
  return Array.from(paragraph.matchAll(/`([\w.-]+\.(?:ts|js|mjs))`/g), ([, name]) => name).at(-1)
}

/** As GitHub makes them of headings; and those that are written as HTML. */
function anchorsOf(prose: string): Set<string> {
  const anchors = new Set(Array.from(prose.matchAll(/<a id="([^"]+)">/g), ([, id = '']) => id))
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.+)$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  return anchors
}
