/** The request that a running instance answers with its `InstanceStatus`. */
export const statusRequest = "status";
