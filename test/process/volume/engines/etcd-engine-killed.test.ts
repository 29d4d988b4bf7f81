import { etcd } from "./etcd.ts";
import { killRounds } from "./kill-rounds.ts";

killRounds("engine", etcd, { suite: "intl", parameters: { blockSize: "16384", integrity: "tree" } });
