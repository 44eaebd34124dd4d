namespace Moe.Plugins.Cuda;

/// <summary>What ptxas says about one kernel.</summary>
/// <param name="Name">The kernel's name in the image.</param>
/// <param name="Registers">The registers of each thread.</param>
/// <param name="SharedBytes">The static shared memory of each block in bytes.</param>
/// <param name="SpillStoreBytes">The bytes that each thread writes because registers ran out.</param>
/// <param name="SpillLoadBytes">The bytes that each thread reads back.</param>
/// <param name="StackBytes">The stack frame of each thread in bytes.</param>
public sealed record KernelReport(string Name, int Registers, int SharedBytes, int SpillStoreBytes, int SpillLoadBytes, int StackBytes);
