// One contestant in a process of its own. Measures itself: the CPU time of this process and of no other.
const { contestant, ...setting } = JSON.parse(process.argv[2])
const { start } = await import(`./contestants/${contestant}.mjs`)
const { server, store } = await start(setting)

let before = process.cpuUsage()
const counts = {}

const orders = {
  startClock: () => {
    before = process.cpuUsage()
  },
  stopClock: () => {
    const { user, system } = process.cpuUsage(before)
    return user + system
  },
  /** Makes the store slower: for a request or two, after everything else. */
  count: () => {
    for (const name of store?.methods ?? []) {
      const method = store.object[name]
      store.object[name] = (...args) => {
        counts[name] = (counts[name] ?? 0) + 1
        return method.apply(store.object, args)
      }
    }
  },
  counted: () => counts,
}

process.on('message', (order) => process.send({ answer: orders[order]() ?? null }))
// The parent is gone, or done.
process.on('disconnect', () => process.exit())

// Connections wait for their next turn while the others are measured.
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1', () => process.send({ answer: server.address().port }))
