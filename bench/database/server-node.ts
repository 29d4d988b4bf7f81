/** Loaded before `strongroom db serve`: the server of the volume is started with the program that the environment names. */
const { STRONGROOM_BENCH_SERVER_NODE: serverNode } = process.env;
if (serverNode !== undefined) process.execPath = serverNode;
