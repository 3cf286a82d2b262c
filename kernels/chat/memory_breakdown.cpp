// Bytes a loaded context takes, by device and kind.

#include "abi.h"
#include "ggml-backend.h"
#include "llama-ext.h"

int fh_memory_breakdown(const llama_context * context, char ** json) {
    return fh_guard("internal", json, [&] {
        common_json devices = common_json::object();
        for (const auto & [buffer_type, bytes] : llama_get_memory_breakdown(context)) {
            // Host buffers of a GPU back end (pinned memory) are RAM, not the device's memory.
            ggml_backend_dev_t device = ggml_backend_buft_get_device(buffer_type);
            const bool is_host = ggml_backend_buft_is_host(buffer_type) || device == nullptr;
            const std::string name = is_host ? "CPU" : ggml_backend_dev_name(device);

            if (!devices.contains(name)) {
                devices[name] = common_json::object({ { "model", 0 }, { "context", 0 }, { "compute", 0 } });
            }
            common_json & entry = devices[name];
            entry["model"]      = entry.at("model").get<int64_t>() + static_cast<int64_t>(bytes.model);
            entry["context"]    = entry.at("context").get<int64_t>() + static_cast<int64_t>(bytes.context);
            entry["compute"]    = entry.at("compute").get<int64_t>() + static_cast<int64_t>(bytes.compute);
        }
        *json = fh_copy(devices.dump());
    });
}
