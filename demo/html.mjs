class Markup {
  constructor(text) {
    this.text = text
  }

  toString() {
    return this.text
  }
}

const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** A template whose values are escaped, unless they are templates themselves. Lists are joined; false and undefined are nothing. */
export function html(parts, ...values) {
  return new Markup(String.raw({ raw: parts }, ...values.map(render)))
}

function render(value) {
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(render).join('')
  if (value === undefined || value === false) return ''
  return String(value).replace(/[&<>"']/g, (character) => entities[character])
}
