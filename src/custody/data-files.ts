/** The files of a key manager's data folder. */
export const dataFiles = { slots: "root.slots", store: "store.sqlite", lock: "lock", socket: "admin.sock" } as const;
