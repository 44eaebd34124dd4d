namespace Moe.Plugins.Kernels;

/// <summary>Device memory that is read first once experts have been chosen: the router's launch may fetch it into L2.</summary>
/// <param name="Address">16-byte aligned.</param>
/// <param name="ByteCount">Bytes, of which as many are fetched as the router has time for.</param>
public readonly record struct PrefetchRange(nint Address, long ByteCount);
