using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>A driver whose four devices are the host's memory, in this process: it counts what is allocated, and has as much as it is told.</summary>
internal static unsafe partial class FakeDevice
{
    private const string Driver = "libcuda.so.1";

    /// <summary>Builds it for another process.</summary>
    public static FakeLibraries WithDevice(this FakeLibraries libraries) => libraries.With(Driver, """
        #include <stddef.h>
        #include <stdlib.h>
        #include <string.h>
        static size_t most = ~(size_t)0 >> 1;
        static long pinned, most_pinned, device, streams;
        static long add(long* sum, long bytes) { return __atomic_add_fetch(sum, bytes, __ATOMIC_SEQ_CST); }
        static void* make(size_t bytes, long* sum) {
          size_t* block = malloc(bytes + 256);
          *block = bytes;
          add(sum, (long)bytes);
          return (char*)block + 256;
        }
        static void drop(void* address, long* sum) {
          size_t* block = (size_t*)((char*)address - 256);
          add(sum, -(long)*block);
          memset(address, 0xEE, *block);
          free(block);
        }
        void fake_limit(size_t bytes) { most = bytes; }
        void fake_counts(long* counts) { counts[0] = pinned; counts[1] = most_pinned; counts[2] = device; counts[3] = streams; }
        int cuInit(unsigned flags) { return 0; }
        int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
        int cuDeviceGetCount(int* count) { *count = 4; return 0; }
        int cuDeviceGet(int* id, int ordinal) { *id = ordinal; return ordinal < 4 ? 0 : 101; }
        int cuDeviceGetName(char* name, int length, int id) { strncpy(name, "Fake", length); return 0; }
        int cuDeviceTotalMem_v2(size_t* bytes, int id) { *bytes = 1 << 30; return 0; }
        int cuDeviceGetAttribute(int* value, int attribute, int id) { *value = 8; return 0; }
        int cuDevicePrimaryCtxRetain(void** context, int id) { *context = (void*)1; return 0; }
        int cuDevicePrimaryCtxRelease_v2(int id) { return 0; }
        int cuCtxGetCurrent(void** context) { *context = NULL; return 0; }
        int cuCtxPushCurrent_v2(void* context) { return 0; }
        int cuCtxPopCurrent_v2(void** context) { *context = (void*)1; return 0; }
        int cuMemGetInfo_v2(size_t* left, size_t* total) { *left = most; *total = 1 << 30; return 0; }
        int cuMemAlloc_v2(void** address, size_t bytes) { if (bytes > most) return 2; *address = make(bytes, &device); return 0; }
        int cuMemFree_v2(void* address) { drop(address, &device); return 0; }
        int cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
          *address = make(bytes, &pinned);
          long now = __atomic_load_n(&pinned, __ATOMIC_SEQ_CST), before = __atomic_load_n(&most_pinned, __ATOMIC_SEQ_CST);
          while (now > before && !__atomic_compare_exchange_n(&most_pinned, &before, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
          return 0;
        }
        int cuMemFreeHost(void* address) { drop(address, &pinned); return 0; }
        int cuMemcpyAsync(void* to, const void* from, size_t bytes, void* stream) { memcpy(to, from, bytes); return 0; }
        int cuMemcpyHtoD_v2(void* to, const void* from, size_t bytes) { memcpy(to, from, bytes); return 0; }
        int cuStreamCreateWithPriority(void** stream, unsigned flags, int priority) { *stream = malloc(1); add(&streams, 1); return 0; }
        int cuStreamDestroy_v2(void* stream) { free(stream); add(&streams, -1); return 0; }
        int cuStreamSynchronize(void* stream) { return 0; }
        int cuModuleLoadData(void** module, const void* image) { *module = (void*)1; return 0; }
        int cuModuleUnload(void* module) { return 0; }
        int cuModuleGetFunction(void** function, void* module, const char* name) { *function = (void*)1; return 0; }
        int cuFuncGetAttribute(int* value, int attribute, void* function) { *value = 0; return 0; }
        int cuFuncGetParamInfo(void* function, size_t index, size_t* offset, size_t* bytes) { *offset = *bytes = 0; return index == 0 ? 0 : 1; }
        int cuGetErrorName(int error, const char** text) { *text = error == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OTHER"; return 0; }
        int cuGetErrorString(int error, const char** text) { *text = "fake"; return 0; }
        """);

    /// <summary>What is free on each device from now on, however much is taken.</summary>
    public static void Free(long bytes) => fake_limit((nuint)bytes);

    /// <summary>What is allocated now.</summary>
    public static Held Count()
    {
        Held counts;
        fake_counts(&counts);
        return counts;
    }

    [LibraryImport(Driver)]
    private static partial void fake_limit(nuint bytes);

    [LibraryImport(Driver)]
    private static partial void fake_counts(Held* counts);

    /// <summary>What it has given out.</summary>
    /// <param name="Pinned">Bytes of the host's memory.</param>
    /// <param name="MostPinned">The most that those have been.</param>
    /// <param name="Device">Bytes of the device's memory.</param>
    /// <param name="Streams">Streams.</param>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly record struct Held(long Pinned, long MostPinned, long Device, long Streams);
}
