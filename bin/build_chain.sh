#!/bin/sh
# FISCO BCOS's script: build_chain.sh -l IP:NODES -p P2P,RPC [-s] [-H -n DIR] [-o DIR] [-e PROGRAM] …, done by strongroom.
set -eu
self=$(readlink -f -- "$0")
exec "${self%/*}/strongroom" chain build "$@"
