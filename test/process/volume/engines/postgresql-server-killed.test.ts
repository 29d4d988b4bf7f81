import { killRounds } from "./kill-rounds.ts";
import { postgresql } from "./postgresql.ts";

killRounds("server", postgresql, { suite: "intl", parameters: { blockSize: "8192", integrity: "tree" } });
