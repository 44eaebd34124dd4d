using System.Globalization;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// For whoever tunes a kernel: a setting of a CUDA backend by which its kernels note where their time goes, as <c>probe.cuh</c> says, and the file that gets
/// the notes. Without it kernels are compiled without.
/// </summary>
internal static class KernelProbe
{
    public const string FileSetting = "Probe";

    /// <summary>The macro that the kernels are compiled with.</summary>
    public const string Define = "MOE_PROBE";

    private const string Variable = "moe_probe";

    /// <summary>Writes what the kernels of a module noted last, a line a thread; nothing where it has no such kernel.</summary>
    public static void Write(CudaModule module, TextWriter text)
    {
        nint address;
        long bytes;
        try
        {
            (address, bytes) = module.GetGlobal(Variable);
        }
        catch (CudaException)
        {
            return;
        }

        using CudaContextScope scope = module.Context.MakeCurrent();
        byte[] copy = new byte[bytes];
        unsafe
        {
            fixed (byte* to = copy)
            {
                CudaMemory.Copy((nint)to, address, bytes, 0);
                module.Context.UseStream(0).Synchronize();
            }
        }

        long noted = MemoryMarshal.Read<uint>(copy);
        ReadOnlySpan<Record> records = MemoryMarshal.Cast<byte, Record>(copy.AsSpan())[1..];
        foreach (Record r in records[..(int)Math.Min(noted, records.Length)])
        {
            text.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{r.Kernel},{r.Block},{r.Multiprocessor},{r.Role},{r.Begun},{r.Ended},{r.Cycles},{r.Tiles},{r.Mark0},{r.Mark1},{r.Sum0},{r.Sum1},{r.Sum2}"));
        }
    }

    /// <summary>The columns of the lines.</summary>
    public static string Header => "kernel,block,multiprocessor,role,begun,ended,cycles,tiles,mark0,mark1,sum0,sum1,sum2";

    /// <summary><c>ProbeRecord</c> of <c>probe.cuh</c>. The first of the variable is the number of records instead.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 64)]
    private readonly struct Record
    {
        public readonly ulong Begun;
        public readonly ulong Ended;
        public readonly uint Kernel;
        public readonly uint Block;
        public readonly uint Multiprocessor;
        public readonly uint Role;
        public readonly uint Cycles;
        public readonly uint Tiles;
        public readonly uint Mark0;
        public readonly uint Mark1;
        public readonly uint Sum0;
        public readonly uint Sum1;
        public readonly uint Sum2;
    }
}
