/*
 * The Node addon: kernels() lists the ways, expand(kernel, key) makes a key, and ctr, seal, open and wipe use it. Every
 * argument is checked here, since a wrong length would write beyond an array; src/crypto/sm4/addon.ts is the only caller.
 */
#include "sm4.h"
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SM4_TEST_INSTRUCTIONS
napi_value sm4_test_instruction(napi_env env, napi_callback_info info);
#endif

/* A key as JavaScript holds it: memory of the addon's own, zeroed by wipe() or when the object is collected. */
struct held_key {
  struct sm4_key key;
  const struct sm4_kernel *kernel; /* NULL once wiped */
};
static const napi_type_tag held_key_tag = {0x53747230676e6f6dull, 0x534d342d6b657931ull};

/* The bytes of a Uint8Array argument; NULL only when there are none. */
struct bytes {
  uint8_t *at;
  size_t length;
};

static void refuse(napi_env env, const char *argument, const char *problem, int is_range) {
  char message[120];
  snprintf(message, sizeof message, "%s %s", argument, problem);
  if (is_range)
    napi_throw_range_error(env, NULL, message);
  else
    napi_throw_type_error(env, NULL, message);
}

/* Memory that another thread could change or that is gone is refused. Returns 0 with an exception pending. */
static int get_bytes(napi_env env, napi_value value, const char *argument, struct bytes *bytes) {
  bool is_typed_array = false, is_array_buffer = false, is_detached = true;
  napi_typedarray_type type;
  napi_value buffer;
  void *data;
  size_t offset;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, &bytes->length, &data, &buffer, &offset) != napi_ok ||
      type != napi_uint8_array) {
    refuse(env, argument, "is not a Uint8Array", 0);
    return 0;
  }
  if (napi_is_arraybuffer(env, buffer, &is_array_buffer) != napi_ok || !is_array_buffer) {
    refuse(env, argument, "lies in shared memory", 0);
    return 0;
  }
  if (napi_is_detached_arraybuffer(env, buffer, &is_detached) != napi_ok || is_detached) {
    refuse(env, argument, "was transferred away", 0);
    return 0;
  }
  bytes->at = data;
  return 1;
}

static int get_exact(napi_env env, napi_value value, const char *argument, size_t length, struct bytes *bytes) {
  if (!get_bytes(env, value, argument, bytes)) return 0;
  if (bytes->length == length) return 1;
  char problem[60];
  snprintf(problem, sizeof problem, "is %zu bytes long, not %zu", bytes->length, length);
  refuse(env, argument, problem, 1);
  return 0;
}

/* The output of as many bytes: the same memory as the input, or other memory, but not half of each. */
static int get_output(napi_env env, napi_value value, const char *argument, const struct bytes *input, struct bytes *output) {
  if (!get_exact(env, value, argument, input->length, output)) return 0;
  const uintptr_t in = (uintptr_t)input->at, out = (uintptr_t)output->at;
  const uintptr_t apart = in < out ? out - in : in - out;
  if (apart == 0 || apart >= input->length) return 1;
  refuse(env, argument, "overlaps the input without being the same memory", 1);
  return 0;
}

static int get_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok) return 0;
  if (count == wanted) return 1;
  napi_throw_type_error(env, NULL, "wrong number of arguments");
  return 0;
}

static struct held_key *get_held(napi_env env, napi_value value) {
  bool is_key = false;
  void *held = NULL;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external ||
      napi_check_object_type_tag(env, value, &held_key_tag, &is_key) != napi_ok || !is_key ||
      napi_get_value_external(env, value, &held) != napi_ok) {
    napi_throw_type_error(env, NULL, "key is not one of this addon");
    return NULL;
  }
  return held;
}

static struct held_key *get_live(napi_env env, napi_value value) {
  struct held_key *held = get_held(env, value);
  if (held == NULL || held->kernel != NULL) return held;
  napi_throw_error(env, NULL, "SM4 key used after it was wiped");
  return NULL;
}

static void wipe_held(struct held_key *held) { sm4_wipe(held, sizeof *held); }

static void free_held(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  wipe_held(data);
  free(data);
}

static napi_value list_kernels(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value list, name;
  uint32_t count = 0;
  if (napi_create_array(env, &list) != napi_ok) return NULL;
  for (size_t i = 0; i < sm4_kernel_count; i++) {
    if (!sm4_kernels[i]->is_supported()) continue;
    if (napi_create_string_utf8(env, sm4_kernels[i]->name, NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_set_element(env, list, count++, name) != napi_ok)
      return NULL;
  }
  return list;
}

static const struct sm4_kernel *find_kernel(napi_env env, napi_value value) {
  char name[32] = "";
  size_t length;
  if (napi_get_value_string_utf8(env, value, name, sizeof name, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "kernel is not a string");
    return NULL;
  }
  for (size_t i = 0; i < sm4_kernel_count; i++)
    if (strlen(sm4_kernels[i]->name) == length && memcmp(sm4_kernels[i]->name, name, length) == 0 &&
        sm4_kernels[i]->is_supported())
      return sm4_kernels[i];
  napi_throw_range_error(env, NULL, "this processor has no such kernel");
  return NULL;
}

static napi_value expand(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  struct bytes key;
  void *memory;
  if (!get_arguments(env, info, 2, arguments)) return NULL;
  const struct sm4_kernel *kernel = find_kernel(env, arguments[0]);
  if (kernel == NULL || !get_exact(env, arguments[1], "key", 16, &key)) return NULL;
  if (posix_memalign(&memory, 64, sizeof(struct held_key)) != 0) {
    napi_throw_error(env, NULL, "no memory for an SM4 key");
    return NULL;
  }
  struct held_key *held = memory;
  held->kernel = kernel;
  sm4_expand_key(&held->key, kernel, key.at);
  if (napi_create_external(env, held, free_held, NULL, &result) != napi_ok) {
    free_held(env, held, NULL);
    return NULL;
  }
  return napi_type_tag_object(env, result, &held_key_tag) == napi_ok ? result : NULL;
}

static napi_value wipe(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct held_key *held;
  if (get_arguments(env, info, 1, &argument) && (held = get_held(env, argument)) != NULL) wipe_held(held);
  return NULL;
}

static napi_value ctr(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  struct bytes counter, in, out;
  if (!get_arguments(env, info, 4, arguments)) return NULL;
  const struct held_key *held = get_live(env, arguments[0]);
  if (held == NULL || !get_exact(env, arguments[1], "counter", 16, &counter) || !get_bytes(env, arguments[2], "input", &in) ||
      !get_output(env, arguments[3], "output", &in, &out))
    return NULL;
  sm4_ctr(&held->key, held->kernel, counter.at, in.at, out.at, in.length);
  return NULL;
}

/* (key, nonce, associated data, input, ...) with the tag and the output in the order of `tag_at` and `output_at`. */
struct gcm_call {
  const struct held_key *held;
  struct bytes nonce, associated_data, in, out, tag;
};

static int get_gcm_call(napi_env env, napi_callback_info info, int tag_at, int output_at, struct gcm_call *call) {
  /* NIST SP 800-38D, 5.2.1.1: 2^39 - 256 bits. */
  const uint64_t most_bytes = (1ull << 36) - 32;
  napi_value arguments[6];
  if (!get_arguments(env, info, 6, arguments)) return 0;
  call->held = get_live(env, arguments[0]);
  if (call->held == NULL || !get_exact(env, arguments[1], "nonce", 12, &call->nonce) ||
      !get_bytes(env, arguments[2], "associatedData", &call->associated_data) ||
      !get_bytes(env, arguments[3], "input", &call->in) ||
      !get_output(env, arguments[output_at], "output", &call->in, &call->out) ||
      !get_exact(env, arguments[tag_at], "tag", 16, &call->tag))
    return 0;
  if (call->in.length <= most_bytes) return 1;
  napi_throw_range_error(env, NULL, "input is longer than GCM allows");
  return 0;
}

static napi_value seal(napi_env env, napi_callback_info info) {
  struct gcm_call call;
  uint8_t tag[16];
  if (!get_gcm_call(env, info, 5, 4, &call)) return NULL;
  sm4_gcm_seal(&call.held->key, call.held->kernel, call.nonce.at, call.associated_data.at, call.associated_data.length,
               call.in.at, call.out.at, call.in.length, tag);
  memcpy(call.tag.at, tag, sizeof tag);
  return NULL;
}

static napi_value open_sealed(napi_env env, napi_callback_info info) {
  struct gcm_call call;
  uint8_t tag[16];
  napi_value result = NULL;
  if (!get_gcm_call(env, info, 4, 5, &call)) return NULL;
  memcpy(tag, call.tag.at, sizeof tag);
  const int is_authentic =
      sm4_gcm_open(&call.held->key, call.held->kernel, call.nonce.at, call.associated_data.at, call.associated_data.length,
                   call.in.at, call.out.at, call.in.length, tag);
  napi_get_boolean(env, is_authentic, &result);
  return result;
}

NAPI_MODULE_INIT() {
  const napi_property_attributes fixed = napi_enumerable;
  const napi_property_descriptor functions[] = {
      {"kernels", NULL, list_kernels, NULL, NULL, NULL, fixed, NULL},
      {"expand", NULL, expand, NULL, NULL, NULL, fixed, NULL},
      {"wipe", NULL, wipe, NULL, NULL, NULL, fixed, NULL},
      {"ctr", NULL, ctr, NULL, NULL, NULL, fixed, NULL},
      {"seal", NULL, seal, NULL, NULL, NULL, fixed, NULL},
      {"open", NULL, open_sealed, NULL, NULL, NULL, fixed, NULL},
#ifdef SM4_TEST_INSTRUCTIONS
      {"instruction", NULL, sm4_test_instruction, NULL, NULL, NULL, fixed, NULL},
#endif
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
