/**
 * Names of the variables that a vendor's library may be given, for libraries that find their own configuration by one. Names by
 * which the loader, OpenSSL, glibc or Node run or load other code in the process are none of them.
 */
export const libraryVariable: RegExp = /^(?!LD_|NODE_|OPENSSL_|GCONV_PATH|GLIBC_)[A-Z][A-Z0-9_]{0,63}$/;
export const maxLibraryVariables = 16;
export const maxLibraryVariableCharacters = 1024;
