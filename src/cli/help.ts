/* What `--help` says. The examples are the quickest way to learn a command, so each has some. */

export const config = 'file that exports your sessions, as its default or as "sessions"'

export const program = `
npx vishnu <command> --help explains a command, with examples.`

export const cleanup = {
  description:
    'Removes expired sessions from a backend that keeps them, such as sqlite(). That frees space and changes nothing else: an expired session is never opened, removed or not. It may run beside the servers and beside others of its kind.',
  dormantFor: 'keep a record that has no end so long after its last use (default: 1d)',
  examples: `
Examples:
  npx vishnu cleanup --config sessions.js                 once, with a progress bar
  npx vishnu cleanup --config sessions.js --limit 10000   once, and not for long
  npx vishnu cleanup --config sessions.js --every 10m     until SIGTERM or SIGINT, through outages

If standard output is no terminal, each round prints one line:
  time=2026-05-04T10:20:30.000Z deleted=1200 done=true seconds=0.512

Exit codes: 0 done, also if --limit was reached or a signal has ended --every; 1 the backend failed;
2 wrong usage or configuration; 128 and its number if a signal came before it was done.`,
}

export const inspect = {
  description:
    'Explains a cookie, the headers Cookie and Set-Cookie, or a stored record, as it comes on standard input. Never prints an id or a secret. The public id that it prints is safe to log.',
  examples: `
Examples:
  curl -si https://example.com | npx vishnu inspect
  echo "$COOKIE" | npx vishnu inspect --config sessions.js    is it ours, and what is behind it?
  redis-cli get "vishnu:$KEY" | npx vishnu inspect --values
  sqlite3 sessions.sqlite "SELECT value FROM vishnu_sessions LIMIT 1" | npx vishnu inspect

Exit codes: 0 explained; 1 not recognised, damaged, or not sealed by this configuration;
2 wrong usage or configuration.`,
}

export const secret = {
  description:
    'Prints 32 bytes from the secure random source as 43 characters of base64url, for secret and encryptKey.',
  examples: `
Examples:
  echo "SESSION_SECRET=$(npx vishnu secret)" >> .env`,
}
