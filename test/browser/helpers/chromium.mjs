import { execFileSync } from 'node:child_process'
import { chromium as launcher } from 'playwright-core'
import { chromium } from '../../../scripts/prepare.mjs'

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The system's Chromium. */
export function launchChromium() {
  const executablePath = execFileSync('which', [chromium], { encoding: 'utf8' }).trim()
  return launcher.launch({ executablePath, args: flags })
}
