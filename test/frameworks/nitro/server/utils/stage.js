/** The server that the HTTP scenario has open: its sessions, and what answers its pages. */
export const stage = { sessions: undefined, handler: undefined }
