import { createHash } from 'node:crypto'

/** Bytes that look random but are the same in every run with the same seed. */
export function seededRandom(seed: string | number): (size: number) => Uint8Array {
  let blockNumber = 0
  return (size) => {
    const blocks: Buffer[] = []
    for (let length = 0; length < size; length += 32) {
      blocks.push(createHash('sha256').update(`${seed}:${blockNumber++}`).digest())
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, size))
  }
}
