// What fabric-chaincode-node loads. Installed packages run what is built, since Node takes the types out of no file under
// node_modules; a checkout runs its sources.
const { existsSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "../../../..");
const built = join(root, "dist/enclave/ercc/service/contracts.js");
const isInstalled = existsSync(built) && !existsSync(join(root, ".git"));
module.exports = require(isInstalled ? built : join(__dirname, "contracts.ts"));
