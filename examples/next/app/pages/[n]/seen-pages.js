'use client'

import { useEffect, useState } from 'react'
import { seePage } from '../../actions'

// A page can't change the session while it is rendered, so the browser calls an action once it shows the page.
export function SeenPages({ n }) {
  const [seen, setSeen] = useState([])
  useEffect(() => {
    seePage(n).then(setSeen)
  }, [n])
  return <p id="page">{`Page ${n}, seen: ${seen.join(' ')}`}</p>
}
