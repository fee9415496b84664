#include "llama/plan/memory_plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>
#include <tuple>

#include "ggml.h"
#include "llama/plan/context_shape.hpp"
#include "llama/plan/gpu_share.hpp"
#include "llama/plan/log_capture.hpp"
#include "llama/plan/own_memory.hpp"
#ifdef VASE_CUDA
#include <cstring>

#include "ggml-backend.h"
#include "llama/keeper/cuda_evictor.hpp"
#endif

namespace vase {
namespace {

// `policy` at another budget; a recency window below 0 and an interval of 0 go with it.
vase_params at_budget(vase_params policy, int32_t budget) {
  const vase_params own = vase_params_default(policy.policy, budget);
  policy.budget = budget;
  if (policy.recency < 0) policy.recency = own.recency;
  if (policy.interval == 0) policy.interval = own.interval;
  return policy;
}

// What MemoryPlanner::fit starts from, as published.
constexpr int32_t kPublishedBudget = 4096;

struct FreeModel {
  void operator()(llama_model *model) const { llama_model_free(model); }
};
struct FreeContext {
  void operator()(llama_context *context) const { llama_free(context); }
};

std::string in_units(size_t bytes) {
  constexpr double kMebibyte = 1024.0 * 1024.0;
  const auto mebibytes = static_cast<double>(bytes) / kMebibyte;
  char text[32];
  std::snprintf(text, sizeof(text), mebibytes < 1024 ? "%.2f MiB" : "%.2f GiB",
                mebibytes < 1024 ? mebibytes : mebibytes / 1024);
  return text;
}

// A number of the metadata that is named after the architecture; 0 if there is none, or one for
// each layer.
int32_t metadata(const llama_model *model, const char *key) {
  char architecture[128], text[32];
  if (llama_model_meta_val_str(model, "general.architecture", architecture, sizeof(architecture)) <=
      0)
    return 0;
  const std::string name = std::string(architecture) + "." + key;
  if (llama_model_meta_val_str(model, name.c_str(), text, sizeof(text)) <= 0) return 0;
  return static_cast<int32_t>(std::strtol(text, nullptr, 10));
}

// Elements of a head's row: metadata if the file says so, else an equal share of the embedding.
int32_t head_dim(const llama_model *model, const char *key) {
  const int32_t dim = metadata(model, (std::string("attention.") + key).c_str());
  return dim > 0 ? dim : llama_model_n_embd(model) / std::max(1, llama_model_n_head(model));
}

// The CPU backend multiplies quantised weights with 8-bit copies of the inputs, in a buffer of its
// own that is made when a graph is run: at most the widest layer's, for each token of a ubatch.
size_t input_copies(const llama_model *model, uint32_t n_ubatch) {
  const int64_t widest =
      std::max(llama_model_n_embd(model), metadata(model, "feed_forward_length"));
  const int64_t block = ggml_blck_size(GGML_TYPE_Q8_1);
  return n_ubatch * ggml_row_size(GGML_TYPE_Q8_1, (widest + block - 1) / block * block);
}

size_t row_bytes(ggml_type type, int32_t dim) {
  return ggml_row_size(type, dim / ggml_blck_size(type) * ggml_blck_size(type));
}

// Heads of the layers that have any, of one kind.
struct Heads {
  int32_t most = 0;  // of a layer
  double usual = 0;  // the mean

  // `by_layer`: as a ModelHeader has them; `alike`: of each layer, where it has none.
  Heads(const std::vector<int32_t> &by_layer, int32_t alike) : most(alike), usual(alike) {
    const auto layers = by_layer.size() - static_cast<size_t>(std::ranges::count(by_layer, 0));
    if (layers == 0) return;
    most = *std::ranges::max_element(by_layer);
    usual = std::accumulate(by_layer.begin(), by_layer.end(), 0.0) / static_cast<double>(layers);
  }
  size_t of(size_t layers) const {
    return static_cast<size_t>(std::lround(usual * static_cast<double>(layers)));
  }
};

struct HeadCounts {
  Heads kv, query;
};

// Keys and values of `cells` cells of `layers` layers.
size_t layer_bytes(const llama_model *model, const HeadCounts &heads,
                   const llama_context_params &params, size_t layers, size_t cells) {
  return cells * heads.kv.of(layers) *
         (row_bytes(params.type_k, head_dim(model, "key_length")) +
          row_bytes(params.type_v, head_dim(model, "value_length")));
}

// What the queries of a step are held in (GraphTaps).
size_t tap_bytes(const llama_model *model, const HeadCounts &heads, const BoundedOptions &options,
                 size_t layers) {
  if (vase_policy_needs_queries(options.policy.policy) == 0) return 0;
  return static_cast<size_t>(options.n_sequences) * heads.query.of(layers) *
         static_cast<size_t>(head_dim(model, "key_length")) * sizeof(float);
}

// What adapters add to the buffer that a graph computes in; a simulated context has none. Each
// product holds its input until the adapter has multiplied it, too: a row of the embedding for each
// token of a ubatch.
size_t adapter_compute(const llama_model *model, uint32_t n_ubatch) {
  return size_t{n_ubatch} * static_cast<size_t>(llama_model_n_embd(model)) * sizeof(float);
}

// What the evictor and the query rings will hold, after their constructors.
size_t eviction_bytes(const llama_model *model, const HeadCounts &counts,
                      const BoundedOptions &options, size_t cells, size_t layers) {
  const vase_params &policy = options.policy;
  const auto sequences = static_cast<size_t>(options.n_sequences);
  const size_t heads = counts.kv.of(layers), query_heads = counts.query.of(layers);
  const auto dim = static_cast<size_t>(head_dim(model, "key_length"));
  const size_t of_working_rows = heads * cells;
  const size_t of_kept_rows = sequences * heads * static_cast<size_t>(policy.budget);
  size_t bytes =
      of_working_rows * (sizeof(uint8_t) + sizeof(int32_t)) + of_kept_rows * sizeof(int32_t);
  if (vase_policy_sums_up(policy.policy) != 0)
    bytes += (of_working_rows + of_kept_rows) * sizeof(float);
  if (vase_policy_needs_queries(policy.policy) != 0)
    bytes += sequences * query_heads * static_cast<size_t>(policy.window) * dim * sizeof(float);

  float any = 0;
  vase_layer layer{};
  layer.keys = {&any, VASE_F32, head_dim(model, "key_length"), 0, 0, 0};
  layer.values = {&any, VASE_F32, head_dim(model, "value_length"), 0, 0, 0};
  layer.n_heads = counts.kv.most;
  layer.n_query_heads = counts.query.most;
  layer.n_rows = static_cast<int32_t>(cells);
  layer.n_queries = policy.window;
  layer.queries = &any;
  const int32_t threads = options.n_threads > 0 ? options.n_threads : options.context.n_threads;
  return bytes + static_cast<size_t>(threads) * vase_workspace_size(&policy, &layer);
}

// The same for evictions on a CUDA device.
#ifdef VASE_CUDA
bool cache_goes_to_cuda(const llama_model *model, const llama_model_params &params,
                        const llama_context_params &context) {
  // Of a cache that lies on GPUs in part, the rows are copied to the host.
  if (share_on_gpus(model, params) < 1 || !context.offload_kqv) return false;
  const ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU);
  return device != nullptr && std::strncmp(ggml_backend_dev_name(device), "CUDA", 4) == 0;
}

size_t cuda_eviction_bytes(const llama_model *model, const HeadCounts &heads,
                           const BoundedOptions &options, size_t cells, size_t layers) {
  CudaEvictor::Shape shape;
  shape.n_heads = heads.kv.most;
  shape.n_query_heads = heads.query.most;
  shape.keys_dim = head_dim(model, "key_length");
  shape.values_dim = head_dim(model, "value_length");
  return CudaEvictor::bytes_needed(options.policy, shape, layers, static_cast<int32_t>(cells),
                                   options.n_sequences);
}
#endif

size_t share_of(size_t bytes, double share) {
  return static_cast<size_t>(static_cast<double>(bytes) * share);
}

// The largest value in [low, high] for which `fits` holds, low - 1 if none; what fits stays true
// for smaller values.
int32_t largest(int32_t low, int32_t high, const std::function<bool(int32_t)> &fits) {
  int32_t best = low - 1;
  while (low <= high) {
    const int32_t middle = low + (high - low) / 2;
    if (fits(middle)) {
      best = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return best;
}

// llama.cpp keeps some 50 bytes a cell beside the cache, also where it only simulates one.
constexpr uint32_t kMostCells = 1U << 26U;

// `bytes` a token, taken from what llama.cpp rounds to hundredths of a MiB, as the heads' rows of
// keys and values can add up to.
double in_whole_rows(const llama_model *model, const llama_context_params &params, double bytes) {
  const auto unit =
      static_cast<double>(std::gcd(row_bytes(params.type_k, head_dim(model, "key_length")),
                                   row_bytes(params.type_v, head_dim(model, "value_length"))));
  return std::round(bytes / unit) * unit;
}

// How a plan counts what llama.cpp reserves for logits that nobody asks for.
enum class Logits { apart, as_compute };

// What llama.cpp says of a context that it would make.
struct Simulated {
  std::vector<LoggedCache> caches;
  size_t compute = 0;     // compute and output buffers
  size_t on_gpus = 0;     // of them
  size_t structures = 0;  // touched beside its buffers
};

// Where llama.cpp describes graphs of up to `nodes` nodes, for steps with logits and for steps
// without: it is made, and filled with zeros, when the first of them comes.
size_t graph_descriptions(size_t nodes) {
  return 2 * (nodes * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes, false));
}

// The model holds no memory, and neither will this context: llama.cpp simulates what it would
// allocate, and says in its log how much.
Simulated simulate(llama_model *model, const llama_context_params &params) {
  if (params.n_ctx > kMostCells)
    throw Error("a cache of " + std::to_string(params.n_ctx) +
                " cells is too large to be planned: use fewer tokens, rows or sequences");
  const LogCapture log(false);
  const size_t before = resident_without_leftovers();
  const std::unique_ptr<llama_context, FreeContext> context(llama_init_from_model(model, params));
  if (context == nullptr)
    throw Error("llama.cpp could not plan a context of " + std::to_string(params.n_ctx) + " cells" +
                log.because());
  const size_t after = resident_without_leftovers();
  // The state of recurrent layers is no simulation: it lies there now, and is counted as cache.
  const size_t state = log.mebibytes("CPU RS buffer size");
  return {.caches = log.caches(),
          .compute = log.mebibytes("compute buffer size") + log.mebibytes("output buffer size"),
          .on_gpus = compute_on_gpus(log),
          .structures = after - std::min(before + state, after) +
                        graph_descriptions(log.number("max_nodes"))};
}

}  // namespace

struct MemoryPlanner::State {
  std::unique_ptr<llama_model, FreeModel> model;
  llama_model_params model_params = llama_model_default_params();
  ModelHeader header;
  size_t own = 0;  // vocabulary and metadata: what opening the model took
  // By cells, sequences and tokens of a ubatch, so that one shape has one plan although heaps vary
  // a little.
  mutable std::map<std::tuple<uint32_t, uint32_t, uint32_t>, size_t> structures;

  MemoryPlan plan(const BoundedOptions &options, Logits logits) const {
    const ContextShape shape = shape_context(model.get(), options);
    MemoryPlan plan;
    plan.budget = shape.evicts ? options.policy.budget : 0;
    plan.n_sequences = options.n_sequences;
    plan.cells = shape.cells;
    plan.weights = llama_model_size(model.get());
    plan.repacked = model_params.use_extra_bufts ? header.repacked : 0;
    plan.adapters = header.adapters;

    const Simulated all = simulate(model.get(), shape.params);
    if (logits == Logits::apart) plan.unused_logits = unused_logits(all, shape.params);
    plan.compute = all.compute - plan.unused_logits;
    if (header.adapted > 0) plan.compute += adapter_compute(model.get(), shape.params.n_ubatch);
    plan.on_gpus = all.on_gpus;
    plan.structures =
        own + structures
                  .try_emplace({shape.params.n_ctx, shape.params.n_seq_max, shape.params.n_ubatch},
                               all.structures)
                  .first->second;
    const auto cells = static_cast<size_t>(shape.cells);
    const HeadCounts heads{{header.kv_heads, llama_model_n_head_kv(model.get())},
                           {header.query_heads, llama_model_n_head(model.get())}};
    size_t bounded_layers = 0, bounded_kv = 0;
    for (const LoggedCache &cache : all.caches) {
      plan.kv += cache.bytes;
      if (cache.cells != shape.cells || cache.recurrent) continue;
      bounded_layers += static_cast<size_t>(cache.layers);
      bounded_kv += cache.bytes;
    }
    plan.kv_per_token =
        in_whole_rows(model.get(), shape.params,
                      static_cast<double>(bounded_kv) / shape.cells / options.n_sequences);
    plan.kv_windows = (plan.kv - bounded_kv) / static_cast<size_t>(options.n_sequences);
    if (plan.kv == 0 || plan.compute == 0) {
      plan.exact = false;
      bounded_layers = static_cast<size_t>(llama_model_n_layer(model.get()));
      plan.kv = static_cast<size_t>(options.n_sequences) *
                layer_bytes(model.get(), heads, shape.params, bounded_layers, cells);
      plan.kv_per_token =
          static_cast<double>(layer_bytes(model.get(), heads, shape.params, bounded_layers, 1));
      // Dominated by the logits of a ubatch, with its activations beside them.
      const auto vocab =
          static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
      const size_t width = vocab + 8 * static_cast<size_t>(llama_model_n_embd(model.get()));
      plan.compute = shape.params.n_ubatch * width * sizeof(float);
    }
    const double share = share_on_gpus(model.get(), model_params);
    if (share < 1) plan.compute += input_copies(model.get(), shape.params.n_ubatch);
    const size_t taps = shape.evicts ? tap_bytes(model.get(), heads, options, bounded_layers) : 0;
    if (shape.evicts)
      plan.queries = eviction_bytes(model.get(), heads, options, cells, bounded_layers) + taps;
    plan.on_gpus += share_of(plan.weights - header.host_weights + plan.adapters, share);
    if (shape.params.offload_kqv) plan.on_gpus += share_of(plan.kv, share);
#ifdef VASE_CUDA
    if (shape.evicts && cache_goes_to_cuda(model.get(), model_params, shape.params)) {
      plan.queries = cuda_eviction_bytes(model.get(), heads, options, cells, bounded_layers) + taps;
      plan.on_gpus += plan.queries;
    }
#endif
    return plan;
  }

  // Of what `all` computes in, what is for logits beyond one token of each sequence at a time.
  size_t unused_logits(const Simulated &all, llama_context_params params) const {
    params.n_outputs_max = params.n_seq_max;
    const Simulated few = simulate(model.get(), params);
    // On GPUs there is no memory that is reserved and not taken.
    const size_t on_host = all.compute - std::min(all.compute, all.on_gpus);
    const size_t few_on_host = few.compute - std::min(few.compute, few.on_gpus);
    return on_host - std::min(on_host, few_on_host);
  }
};

MemoryPlanner::MemoryPlanner(const std::string &path, const llama_model_params &model)
    : MemoryPlanner(header_of(open_model(path)), model) {}

MemoryPlanner::MemoryPlanner(const ModelHeader &header, const llama_model_params &model)
    : state_(std::make_unique<State>()) {
  llama_model_params params = model;
  state_->model_params = model;
  state_->header = header;
  params.no_alloc = true;
  params.load_mode = LLAMA_LOAD_MODE_NONE;
  const LogCapture log(false);
  const size_t before = resident_without_leftovers();
  state_->model.reset(llama_model_load_from_file(header.path.c_str(), params));
  if (state_->model == nullptr) throw Error("llama.cpp cannot load " + header.path + log.because());
  check_model_can_be_bounded(state_->model.get());
  const size_t after = resident_without_leftovers();
  state_->own = after - std::min(before, after);
}
MemoryPlanner::~MemoryPlanner() = default;
MemoryPlanner::MemoryPlanner(MemoryPlanner &&) noexcept = default;
MemoryPlanner &MemoryPlanner::operator=(MemoryPlanner &&) noexcept = default;

MemoryPlan MemoryPlanner::plan(const BoundedOptions &options) const {
  return state_->plan(options, Logits::apart);
}

MemoryPlan MemoryPlanner::plan_total(const BoundedOptions &options) const {
  return state_->plan(options, Logits::as_compute);
}

MemoryPlan MemoryPlanner::fit(size_t limit, const BoundedOptions &options) const {
  if (options.policy.policy == nullptr || vase_policy_evicts(options.policy.policy) == 0)
    throw Error("only a policy that evicts can be fitted into a memory limit");
  const auto choice_of = [&](int32_t budget, int32_t n_sequences) {
    BoundedOptions choice = options;
    choice.policy = at_budget(options.policy, budget);
    choice.n_sequences = n_sequences;
    return choice;
  };
  const auto plan_for = [&](int32_t budget, int32_t n_sequences) {
    return plan_total(choice_of(budget, n_sequences));
  };
  const auto most_sequences = [&](int32_t budget) {
    return largest(1, static_cast<int32_t>(llama_max_parallel_sequences()),
                   [&](int32_t n) { return plan_for(budget, n).total() <= limit; });
  };
  const vase_params &policy = options.policy;
  const int32_t train = std::max(1, llama_model_n_ctx_train(state_->model.get()));
  const int32_t least =
      std::max(policy.sinks + at_budget(policy, 1).recency + 1,  // the smallest window there is
               llama_model_n_swa(state_->model.get()));
  const auto refuse = [&](int32_t budget, int32_t n_sequences) {
    const MemoryPlan smallest = plan_for(budget, n_sequences);
    return Error("nothing fits into " + in_units(limit) + ": budget " + std::to_string(budget) +
                 " with " + std::to_string(n_sequences) +
                 (n_sequences == 1 ? " sequence needs " : " sequences needs ") +
                 in_units(smallest.total()) + ", " + in_units(smallest.loaded()) +
                 " of it weights");
  };

  int32_t budget = policy.budget, n_sequences = options.n_sequences;
  if (budget > 0 && n_sequences > 0) {
    if (plan_for(budget, n_sequences).total() > limit) throw refuse(budget, n_sequences);
  } else if (budget > 0) {
    n_sequences = most_sequences(budget);
    if (n_sequences == 0) throw refuse(budget, 1);
  } else {
    if (n_sequences <= 0) {
      budget = std::max(least, std::min(kPublishedBudget, train));
      n_sequences = most_sequences(budget);
    }
    if (options.n_sequences > 0 || n_sequences == 0) {
      n_sequences = std::max(1, options.n_sequences);
      budget = largest(least, std::max(least, train),
                       [&](int32_t b) { return plan_for(b, n_sequences).total() <= limit; });
      if (budget < least) throw refuse(least, n_sequences);
    }
  }
  return plan(choice_of(budget, n_sequences));
}

const llama_model *MemoryPlanner::model() const { return state_->model.get(); }

}  // namespace vase
