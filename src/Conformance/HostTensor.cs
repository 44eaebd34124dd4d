using System.Runtime.InteropServices;

namespace Moe.Plugins.Conformance;

/// <summary>A dense tensor in this process's own memory, freed by Dispose. Its contents start undefined.</summary>
public sealed unsafe class HostTensor : IDisposable
{
    /// <summary>A cache line, and wider than any vector load.</summary>
    private const nuint Alignment = 64;

    private void* _memory;

    /// <summary>Allocates a tensor.</summary>
    /// <param name="elementType">What one element is.</param>
    /// <param name="rows">Rows of a plane.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="planes">Planes, 1 for a matrix.</param>
    /// <exception cref="MoeException">There is not that much memory.</exception>
    public HostTensor(MoeElementType elementType, int rows, int columns, int planes = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegative(planes);
        ByteCount = checked((long)rows * columns * planes * elementType.ByteSize());
        try
        {
            _memory = NativeMemory.AlignedAlloc((nuint)Math.Max(ByteCount, 1), Alignment);
        }
        catch (OutOfMemoryException exception)
        {
            throw new MoeException(MoeReason.OutOfMemory, $"{ByteCount} bytes of host memory cannot be had.", exception);
        }

        View = new MoeTensorView((nint)_memory, MoeDevice.Cpu, elementType, rows, columns, planes: planes);
    }

    /// <summary>Frees the memory of a tensor that nobody disposed.</summary>
    ~HostTensor() => Free();

    /// <summary>The tensor, valid until Dispose.</summary>
    public MoeTensorView View { get; }

    /// <summary>Bytes of all elements.</summary>
    public long ByteCount { get; }

    /// <summary>Sets every byte.</summary>
    public void Fill(byte value) => NativeMemory.Fill(_memory, (nuint)ByteCount, value);

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}
