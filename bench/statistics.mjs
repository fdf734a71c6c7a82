export function median(numbers) {
  return quantile(numbers, 0.5)
}

export function quantile(numbers, share) {
  const sorted = numbers.toSorted((one, other) => one - other)
  const position = (sorted.length - 1) * share
  const below = Math.floor(position)
  return sorted[below] + (sorted[Math.ceil(position)] - sorted[below]) * (position - below)
}

/** The median, and the quartiles: what half of the rounds lie between. */
export function summary(numbers) {
  return { median: median(numbers), low: quantile(numbers, 0.25), high: quantile(numbers, 0.75) }
}
