{
  "targets": [
    {
      "target_name": "effect_linux",
      "sources": [
        "native/addon.cc",
        "native/arguments.cc",
        "native/attempt.cc",
        "native/bus.cc",
        "native/call.cc",
        "native/directories.cc",
        "native/filesystem.cc",
        "native/interrupt.cc",
        "native/loop.cc",
        "native/memory.cc",
        "native/operation.cc",
        "native/path.cc",
        "native/pool.cc",
        "native/readiness.cc",
        "native/ring.cc",
        "native/signals.cc",
        "native/stub.cc",
        "native/thread.cc",
        "native/vcpu.cc",
        "native/watch.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Werror=return-type"],
      "cflags_cc": ["-std=c++17"],
      "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,now"]
    }
  ]
}
