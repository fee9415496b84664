#include "tiny_models.hpp"

#include <unistd.h>

#include <cmath>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <vector>

#include "ggml.h"
#include "gguf.h"

namespace vase::tests {
namespace {

constexpr int32_t kFeedForward = 128;

class Writer {
 public:
  explicit Writer(std::string architecture)
      : architecture_(std::move(architecture)),
        gguf_(gguf_init_empty()),
        tensors_(
            ggml_init({.mem_size = size_t{16} << 20, .mem_buffer = nullptr, .no_alloc = false})) {
    gguf_set_val_str(gguf_, "general.architecture", architecture_.c_str());
  }
  ~Writer() {
    gguf_free(gguf_);
    ggml_free(tensors_);
  }
  Writer(const Writer &) = delete;
  Writer &operator=(const Writer &) = delete;

  void number(const std::string &key, uint32_t value) {
    gguf_set_val_u32(gguf_, (architecture_ + "." + key).c_str(), value);
  }
  void numbers(const std::string &key, const std::vector<uint32_t> &values) {
    gguf_set_arr_data(gguf_, (architecture_ + "." + key).c_str(), GGUF_TYPE_UINT32, values.data(),
                      values.size());
  }
  void real(const std::string &key, float value) {
    gguf_set_val_f32(gguf_, (architecture_ + "." + key).c_str(), value);
  }

  // Tokens t0, t1, ... of a byte-pair tokenizer that no test feeds with text.
  void vocabulary() {
    std::vector<std::string> names;
    for (int32_t i = 0; i < kVocabulary; ++i) names.push_back("t" + std::to_string(i));
    std::vector<const char *> pointers;
    for (const std::string &name : names) pointers.push_back(name.c_str());
    const std::vector<int32_t> types(names.size(), 1);
    const char *merge = "t 0";
    gguf_set_val_str(gguf_, "tokenizer.ggml.model", "gpt2");
    gguf_set_val_str(gguf_, "tokenizer.ggml.pre", "qwen2");
    gguf_set_arr_str(gguf_, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
    gguf_set_arr_data(gguf_, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(),
                      types.size());
    gguf_set_arr_str(gguf_, "tokenizer.ggml.merges", &merge, 1);
    gguf_set_val_u32(gguf_, "tokenizer.ggml.bos_token_id", 0);
    gguf_set_val_u32(gguf_, "tokenizer.ggml.eos_token_id", 1);
  }

  // A matrix [inputs, outputs] that keeps the variance of its input.
  void matrix(const std::string &name, int64_t inputs, int64_t outputs) {
    ggml_tensor *tensor = ggml_new_tensor_2d(tensors_, GGML_TYPE_F32, inputs, outputs);
    fill(name, tensor, 0, 1 / std::sqrt(static_cast<float>(inputs)));
  }
  void vector(const std::string &name, int64_t length, float mean, float deviation) {
    fill(name, ggml_new_tensor_1d(tensors_, GGML_TYPE_F32, length), mean, deviation);
  }
  void norm(const std::string &name, int64_t length) { vector(name, length, 1, 0.1f); }

  void write(const std::filesystem::path &path) {
    if (!gguf_write_to_file(gguf_, path.c_str(), false))
      throw std::runtime_error("cannot write " + path.string());
  }

 private:
  void fill(const std::string &name, ggml_tensor *tensor, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    auto *values = static_cast<float *>(tensor->data);
    for (int64_t i = 0; i < ggml_nelements(tensor); ++i) values[i] = normal(random_);
    ggml_set_name(tensor, name.c_str());
    gguf_add_tensor(gguf_, tensor);
  }

  std::string architecture_;
  gguf_context *gguf_;
  ggml_context *tensors_;
  std::mt19937 random_{7};
};

void write_mamba(const std::filesystem::path &path) {
  constexpr int32_t inner = 2 * kEmbedding, state = 8, rank = 16, kernel = 4;
  Writer writer("mamba");
  writer.vocabulary();
  writer.number("context_length", kTrainingLength);
  writer.number("embedding_length", kEmbedding);
  writer.number("feed_forward_length", 0);
  writer.number("attention.head_count", 0);
  writer.number("block_count", 1);
  writer.number("ssm.conv_kernel", kernel);
  writer.number("ssm.inner_size", inner);
  writer.number("ssm.state_size", state);
  writer.number("ssm.time_step_rank", rank);
  writer.real("attention.layer_norm_rms_epsilon", 1e-6f);
  writer.matrix("token_embd.weight", kEmbedding, kVocabulary);
  writer.norm("output_norm.weight", kEmbedding);
  writer.norm("blk.0.attn_norm.weight", kEmbedding);
  writer.matrix("blk.0.ssm_in.weight", kEmbedding, 2 * inner);
  writer.matrix("blk.0.ssm_conv1d.weight", kernel, inner);
  writer.vector("blk.0.ssm_conv1d.bias", inner, 0, 0.1f);
  writer.matrix("blk.0.ssm_x.weight", inner, rank + 2 * state);
  writer.matrix("blk.0.ssm_dt.weight", rank, inner);
  writer.vector("blk.0.ssm_dt.bias", inner, 0, 0.1f);
  writer.matrix("blk.0.ssm_a", state, inner);
  writer.vector("blk.0.ssm_d", inner, 0, 0.1f);
  writer.matrix("blk.0.ssm_out.weight", inner, kEmbedding);
  writer.write(path);
}

// A recurrent layer (a convolution over `kernel` tokens), then one of attention.
void write_hybrid(const std::filesystem::path &path, uint32_t kernel) {
  constexpr int32_t layers = 2, keys = kHeads * kHeadDim;
  static_assert(kQueryHeads * kHeadDim == kEmbedding);
  Writer writer("lfm2");
  writer.vocabulary();
  writer.number("context_length", kTrainingLength);
  writer.number("embedding_length", kEmbedding);
  writer.number("feed_forward_length", kFeedForward);
  writer.number("block_count", layers);
  writer.number("attention.head_count", kQueryHeads);
  writer.numbers("attention.head_count_kv", {0, kHeads});
  writer.real("attention.layer_norm_rms_epsilon", 1e-6f);
  writer.real("rope.freq_base", 10000);
  writer.number("shortconv.l_cache", kernel);
  writer.matrix("token_embd.weight", kEmbedding, kVocabulary);
  writer.norm("token_embd_norm.weight", kEmbedding);
  for (int32_t i = 0; i < layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    writer.norm(layer + "attn_norm.weight", kEmbedding);
    if (i == 0) {
      writer.matrix(layer + "shortconv.conv.weight", kernel, kEmbedding);
      writer.matrix(layer + "shortconv.in_proj.weight", kEmbedding, 3 * kEmbedding);
      writer.matrix(layer + "shortconv.out_proj.weight", kEmbedding, kEmbedding);
    } else {
      writer.norm(layer + "attn_q_norm.weight", kHeadDim);
      writer.norm(layer + "attn_k_norm.weight", kHeadDim);
      writer.matrix(layer + "attn_q.weight", kEmbedding, kEmbedding);
      writer.matrix(layer + "attn_k.weight", kEmbedding, keys);
      writer.matrix(layer + "attn_v.weight", kEmbedding, keys);
      writer.matrix(layer + "attn_output.weight", kEmbedding, kEmbedding);
    }
    writer.norm(layer + "ffn_norm.weight", kEmbedding);
    writer.matrix(layer + "ffn_gate.weight", kEmbedding, kFeedForward);
    writer.matrix(layer + "ffn_up.weight", kEmbedding, kFeedForward);
    writer.matrix(layer + "ffn_down.weight", kFeedForward, kEmbedding);
  }
  writer.write(path);
}

// Its positions are looked up in a table.
void write_gpt2(const std::filesystem::path &path) {
  constexpr int32_t layers = 2;
  static_assert(kQueryHeads * kHeadDim == kEmbedding);
  Writer writer("gpt2");
  writer.vocabulary();
  writer.number("context_length", kPositionTable);
  writer.number("embedding_length", kEmbedding);
  writer.number("feed_forward_length", kFeedForward);
  writer.number("block_count", layers);
  writer.number("attention.head_count", kQueryHeads);
  writer.real("attention.layer_norm_epsilon", 1e-6f);
  const auto norm = [&](const std::string &name) {
    writer.norm(name + ".weight", kEmbedding);
    writer.vector(name + ".bias", kEmbedding, 0, 0.1f);
  };
  const auto matrix = [&](const std::string &name, int64_t inputs, int64_t outputs) {
    writer.matrix(name + ".weight", inputs, outputs);
    writer.vector(name + ".bias", outputs, 0, 0.1f);
  };
  writer.matrix("token_embd.weight", kEmbedding, kVocabulary);
  writer.matrix("position_embd.weight", kEmbedding, kPositionTable);
  norm("output_norm");
  for (int32_t i = 0; i < layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    norm(layer + "attn_norm");
    matrix(layer + "attn_qkv", kEmbedding, 3 * kEmbedding);
    matrix(layer + "attn_output", kEmbedding, kEmbedding);
    norm(layer + "ffn_norm");
    matrix(layer + "ffn_up", kEmbedding, kFeedForward);
    matrix(layer + "ffn_down", kFeedForward, kEmbedding);
  }
  writer.write(path);
}

void write_transformer(const std::string &architecture, const std::filesystem::path &path) {
  const bool gemma3 = architecture == "gemma3", qwen2 = architecture == "qwen2";
  // Its queries, keys and values are views of one tensor; llama.cpp reads them as they are if there
  // is no ALiBi.
  const bool alibi = architecture == "mpt", mpt = alibi || architecture == "mpt-no-alibi";
  const bool head_norms = gemma3 || architecture == "qwen3";
  const bool longrope = architecture == "llama-longrope";
  // gemma3 has full attention in every sixth layer.
  const int32_t layers = gemma3 ? 6 : 2;
  const int32_t heads = mpt ? kQueryHeads : kHeads;
  constexpr int32_t queries = kQueryHeads * kHeadDim;
  const int32_t keys = heads * kHeadDim;

  Writer writer(mpt ? "mpt" : longrope ? "llama" : architecture);
  writer.vocabulary();
  writer.number("context_length", kTrainingLength);
  writer.number("embedding_length", kEmbedding);
  writer.number("feed_forward_length", kFeedForward);
  writer.number("block_count", static_cast<uint32_t>(layers));
  writer.number("attention.head_count", kQueryHeads);
  writer.number("attention.head_count_kv", static_cast<uint32_t>(heads));
  writer.number("attention.key_length", kHeadDim);
  writer.number("attention.value_length", kHeadDim);
  writer.real("attention.layer_norm_rms_epsilon", 1e-6f);
  writer.real("attention.layer_norm_epsilon", 1e-6f);
  writer.real("rope.freq_base", 10000);
  if (gemma3) writer.number("attention.sliding_window", kSlidingWindow);
  if (longrope) writer.number("rope.scaling.original_context_length", kShortTexts);
  if (mpt) writer.real("attention.max_alibi_bias", alibi ? 8 : 0);

  writer.matrix("token_embd.weight", kEmbedding, kVocabulary);
  writer.norm("output_norm.weight", kEmbedding);
  for (int32_t i = 0; i < layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    writer.norm(layer + "attn_norm.weight", kEmbedding);
    if (mpt) {
      writer.matrix(layer + "attn_qkv.weight", kEmbedding, queries + 2 * keys);
    } else {
      writer.matrix(layer + "attn_q.weight", kEmbedding, queries);
      writer.matrix(layer + "attn_k.weight", kEmbedding, keys);
      writer.matrix(layer + "attn_v.weight", kEmbedding, keys);
    }
    if (qwen2) {
      writer.vector(layer + "attn_q.bias", queries, 0, 0.5f);
      writer.vector(layer + "attn_k.bias", keys, 0, 0.5f);
      writer.vector(layer + "attn_v.bias", keys, 0, 0.5f);
    }
    if (head_norms) {
      writer.norm(layer + "attn_q_norm.weight", kHeadDim);
      writer.norm(layer + "attn_k_norm.weight", kHeadDim);
    }
    writer.matrix(layer + "attn_output.weight", queries, kEmbedding);
    if (gemma3) writer.norm(layer + "post_attention_norm.weight", kEmbedding);
    writer.norm(layer + "ffn_norm.weight", kEmbedding);
    if (!mpt) writer.matrix(layer + "ffn_gate.weight", kEmbedding, kFeedForward);
    writer.matrix(layer + "ffn_up.weight", kEmbedding, kFeedForward);
    writer.matrix(layer + "ffn_down.weight", kFeedForward, kEmbedding);
    if (gemma3) writer.norm(layer + "post_ffw_norm.weight", kEmbedding);
  }
  writer.write(path);
}

}  // namespace

void write_tiny_model(const std::string &architecture, const std::filesystem::path &path) {
  if (architecture == "mamba") return write_mamba(path);
  if (architecture == "lfm2") return write_hybrid(path, 3);
  if (architecture == "lfm2-long") return write_hybrid(path, kLongKernel);
  if (architecture == "gpt2") return write_gpt2(path);
  write_transformer(architecture, path);
}

TemporaryFolder::TemporaryFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "vase-test-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = path;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Model load_model(const std::filesystem::path &path) {
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_model_params params = llama_model_default_params();
  params.use_extra_bufts = false;  // repacked weights would round differently for other batch sizes
  params.n_gpu_layers = 0;
  Model model(llama_model_load_from_file(path.c_str(), params));
  if (model == nullptr) throw std::runtime_error("cannot load " + path.string());
  return model;
}

Model tiny_model(const std::string &architecture) {
  const TemporaryFolder folder;
  write_tiny_model(architecture, folder / "model.gguf");
  // The file may go while the weights are mapped.
  return load_model(folder / "model.gguf");
}

}  // namespace vase::tests
