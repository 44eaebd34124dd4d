using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>
/// The driver API's calls under their exported names (cuda.h maps some plain names to <c>_v2</c> exports). Every result is a
/// <c>CUresult</c>; <c>size_t</c> is <c>nuint</c>, handles and device addresses are <c>nint</c>.
/// </summary>
internal static unsafe partial class DriverApi
{
    private const string Library = NativeLibraries.Driver;

    static DriverApi()
    {
        NativeLibraries.Register();
    }

    [LibraryImport(Library)]
    internal static partial int cuInit(uint flags);

    [LibraryImport(Library)]
    internal static partial int cuDriverGetVersion(out int version);

    [LibraryImport(Library)]
    internal static partial int cuGetErrorName(int error, out nint text);

    [LibraryImport(Library)]
    internal static partial int cuGetErrorString(int error, out nint text);

    // Devices

    [LibraryImport(Library)]
    internal static partial int cuDeviceGetCount(out int count);

    [LibraryImport(Library)]
    internal static partial int cuDeviceGet(out int device, int ordinal);

    [LibraryImport(Library)]
    internal static partial int cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    internal static partial int cuDeviceTotalMem_v2(out nuint bytes, int device);

    [LibraryImport(Library)]
    internal static partial int cuDeviceGetAttribute(out int value, DeviceAttribute attribute, int device);

    // Contexts

    [LibraryImport(Library)]
    internal static partial int cuDevicePrimaryCtxRetain(out nint context, int device);

    [LibraryImport(Library)]
    internal static partial int cuDevicePrimaryCtxRelease_v2(int device);

    [LibraryImport(Library)]
    internal static partial int cuCtxGetCurrent(out nint context);

    [LibraryImport(Library)]
    internal static partial int cuCtxPushCurrent_v2(nint context);

    [LibraryImport(Library)]
    internal static partial int cuCtxPopCurrent_v2(out nint context);

    [LibraryImport(Library)]
    internal static partial int cuCtxGetDevice(out int device);

    [LibraryImport(Library)]
    internal static partial int cuCtxSynchronize();

    // Peers

    [LibraryImport(Library)]
    internal static partial int cuDeviceCanAccessPeer(out int canAccess, int device, int peer);

    [LibraryImport(Library)]
    internal static partial int cuCtxEnablePeerAccess(nint peer, uint flags);

    [LibraryImport(Library)]
    internal static partial int cuDeviceGetUuid_v2(byte* uuid, int device);

    [LibraryImport(Library)]
    internal static partial int cuIpcGetMemHandle(CuIpcMemHandle* exported, nint address);

    [LibraryImport(Library)]
    internal static partial int cuIpcOpenMemHandle_v2(out nint address, CuIpcMemHandle exported, uint flags);

    [LibraryImport(Library)]
    internal static partial int cuIpcCloseMemHandle(nint address);

    // Streams and events

    [LibraryImport(Library)]
    internal static partial int cuStreamCreateWithPriority(out nint stream, uint flags, int priority);

    [LibraryImport(Library)]
    internal static partial int cuStreamDestroy_v2(nint stream);

    [LibraryImport(Library)]
    internal static partial int cuStreamSynchronize(nint stream);

    [LibraryImport(Library)]
    internal static partial int cuStreamQuery(nint stream);

    [LibraryImport(Library)]
    internal static partial int cuStreamWaitEvent(nint stream, nint waitedFor, uint flags);

    [LibraryImport(Library)]
    internal static partial int cuEventCreate(out nint created, uint flags);

    [LibraryImport(Library)]
    internal static partial int cuEventDestroy_v2(nint destroyed);

    [LibraryImport(Library)]
    internal static partial int cuEventRecord(nint recorded, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuEventQuery(nint queried);

    [LibraryImport(Library)]
    internal static partial int cuEventSynchronize(nint waitedFor);

    [LibraryImport(Library)]
    internal static partial int cuEventElapsedTime(out float milliseconds, nint start, nint end);

    // Memory

    [LibraryImport(Library)]
    internal static partial int cuMemGetInfo_v2(out nuint free, out nuint total);

    [LibraryImport(Library)]
    internal static partial int cuMemAlloc_v2(out nint address, nuint bytes);

    [LibraryImport(Library)]
    internal static partial int cuMemFree_v2(nint address);

    [LibraryImport(Library)]
    internal static partial int cuMemAllocAsync(out nint address, nuint bytes, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuMemFreeAsync(nint address, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuMemHostAlloc(out nint address, nuint bytes, uint flags);

    [LibraryImport(Library)]
    internal static partial int cuMemFreeHost(nint address);

    [LibraryImport(Library)]
    internal static partial int cuMemcpyHtoD_v2(nint destination, void* source, nuint bytes);

    [LibraryImport(Library)]
    internal static partial int cuMemcpyDtoH_v2(void* destination, nint source, nuint bytes);

    [LibraryImport(Library)]
    internal static partial int cuMemcpyAsync(nint destination, nint source, nuint bytes, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuMemcpy2DAsync_v2(CuMemcpy2D* copy, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuMemsetD8Async(nint destination, byte value, nuint count, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuMemsetD2D8Async(nint destination, nuint pitch, byte value, nuint width, nuint height, nint stream);

    // Modules and launches

    [LibraryImport(Library)]
    internal static partial int cuModuleLoadData(out nint module, byte* image);

    [LibraryImport(Library)]
    internal static partial int cuModuleUnload(nint module);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int cuModuleGetFunction(out nint function, nint module, string name);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int cuModuleGetGlobal_v2(out nint address, out nuint bytes, nint module, string name);

    [LibraryImport(Library)]
    internal static partial int cuFuncGetAttribute(out int value, FunctionAttribute attribute, nint function);

    [LibraryImport(Library)]
    internal static partial int cuFuncSetAttribute(nint function, FunctionAttribute attribute, int value);

    [LibraryImport(Library)]
    internal static partial int cuFuncGetParamInfo(nint function, nuint index, out nuint offset, out nuint bytes);

    [LibraryImport(Library)]
    internal static partial int cuOccupancyMaxActiveBlocksPerMultiprocessor(
        out int blocks, nint function, int blockSize, nuint dynamicSharedBytes);

    [LibraryImport(Library)]
    internal static partial int cuLaunchKernelEx(CuLaunchConfig* config, nint function, void** parameters, void** extra);

    [LibraryImport(Library)]
    internal static partial int cuTensorMapEncodeTiled(
        void* tensorMap, CudaTensorMapDataType dataType, uint rank, nint globalAddress, ulong* globalSizes, ulong* globalStrides,
        uint* boxSizes, uint* elementStrides, uint interleave, CudaTensorMapSwizzle swizzle, CudaTensorMapL2Promotion l2Promotion,
        uint outOfBoundsFill);

    // Graphs

    [LibraryImport(Library)]
    internal static partial int cuStreamBeginCapture_v2(nint stream, uint mode);

    [LibraryImport(Library)]
    internal static partial int cuStreamEndCapture(nint stream, out nint graph);

    [LibraryImport(Library)]
    internal static partial int cuStreamIsCapturing(nint stream, out int status);

    [LibraryImport(Library)]
    internal static partial int cuGraphGetNodes(nint graph, nint* nodes, ref nuint count);

    [LibraryImport(Library)]
    internal static partial int cuGraphNodeGetType(nint node, out int type);

    [LibraryImport(Library)]
    internal static partial int cuGraphInstantiateWithFlags(out nint executable, nint graph, ulong flags);

    [LibraryImport(Library)]
    internal static partial int cuGraphLaunch(nint executable, nint stream);

    [LibraryImport(Library)]
    internal static partial int cuGraphExecDestroy(nint executable);

    [LibraryImport(Library)]
    internal static partial int cuGraphDestroy(nint graph);
}
