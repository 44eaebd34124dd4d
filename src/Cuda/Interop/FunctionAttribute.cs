namespace Moe.Plugins.Cuda;

/// <summary>The members of <c>CUfunction_attribute</c> (cuda.h) that are read or set.</summary>
internal enum FunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedSizeBytes = 1,
    LocalSizeBytes = 3,
    RegisterCount = 4,
    MaxDynamicSharedSizeBytes = 8,
    PreferredSharedMemoryCarveout = 9,
}
