namespace Moe.Plugins.Cuda;

/// <summary>The members of <c>CUdevice_attribute</c> (cuda.h) that are read.</summary>
internal enum DeviceAttribute
{
    MaxThreadsPerBlock = 1,
    ClockRate = 13,
    MultiprocessorCount = 16,
    PciBusId = 33,
    PciDeviceId = 34,
    MemoryClockRate = 36,
    GlobalMemoryBusWidth = 37,
    L2CacheSize = 38,
    PciDomainId = 50,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxSharedMemoryPerBlockOptIn = 97,
}
