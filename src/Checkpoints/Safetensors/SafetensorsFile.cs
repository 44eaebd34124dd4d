using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// A safetensors file, mapped into memory: opening reads the header alone, and a tensor's bytes come from the disk when somebody
/// reads them.
/// </summary>
/// <remarks>
/// Thread-safe but for Dispose, after which all views and addresses are invalid. The file must not be shortened while it is open.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private readonly SafetensorsHeader _header;
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _accessor;
    private readonly nint _data;
    private bool _isDisposed;

    private unsafe SafetensorsFile(string path, SafetensorsHeader header, MemoryMappedFile mapping, long dataStart)
    {
        Path = path;
        _header = header;
        _mapping = mapping;
        _accessor = mapping.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        _accessor.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _data = (nint)(start + _accessor.PointerOffset + dataStart);
    }

    /// <summary>The file's full path.</summary>
    public string Path { get; }

    /// <summary>All tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsTensor> Tensors => _header.Tensors;

    /// <summary>The strings that the file keeps beside its tensors (<c>__metadata__</c>); empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Opens a file and checks its whole header against the file's length.</summary>
    /// <exception cref="MoeException">
    /// The file is not there or cannot be read (<see cref="MoeReason.NotFound"/>), or it is no well-formed safetensors file
    /// (<see cref="MoeReason.Checkpoint"/>); the message names the file, the tensor and what was expected.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle? handle = null;
        try
        {
            string fullPath = System.IO.Path.GetFullPath(path);
            handle = File.OpenHandle(fullPath);
            SafetensorsHeader header = ReadHeader(path, handle, out long dataStart);
            var mapping = MemoryMappedFile.CreateFromFile(
                handle,
                mapName: null,
                capacity: 0,
                MemoryMappedFileAccess.Read,
                HandleInheritability.None,
                leaveOpen: false);
            handle = null;
            return new SafetensorsFile(fullPath, header, mapping, dataStart);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{path}' cannot be read: {exception.Message}", exception);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>Looks a tensor up.</summary>
    /// <returns>Whether the file has a tensor of that name.</returns>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out SafetensorsTensor? tensor) => Tensors.TryGetValue(name, out tensor);

    /// <summary>Address of a tensor's first byte, valid until Dispose. The format does not align it.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <exception cref="ArgumentException">The tensor is another file's.</exception>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public nint GetAddress(SafetensorsTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (!TryGetTensor(tensor.Name, out SafetensorsTensor? own) || !ReferenceEquals(own, tensor))
        {
            throw new ArgumentException($"Tensor '{tensor.Name}' is not of '{Path}'.", nameof(tensor));
        }

        return checked((nint)(_data + tensor.Offset));
    }

    /// <summary>
    /// A tensor as the contract sees it, without a copy, valid until Dispose. One or no dimension is a single row, two are a matrix; of
    /// more the first counts planes, the second rows, and the others run together along the row.
    /// </summary>
    /// <remarks>
    /// Elements may lie at any byte address, since the format aligns nothing; the processors that .NET runs on read such elements,
    /// so a file that places BF16 at an odd offset is taken as it is.
    /// </remarks>
    /// <exception cref="MoeException">The contract has no such element type, or a size is beyond 2³¹ − 1.</exception>
    public MoeTensorView GetView(SafetensorsTensor tensor)
    {
        nint address = GetAddress(tensor);
        if (tensor.Type.ElementType() is not MoeElementType elementType)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{tensor.Name}' of '{Path}' is {tensor}; U8, F8_E8M0, I32, BF16 or F32 is expected.");
        }

        IReadOnlyList<long> shape = tensor.Shape;
        long planes = shape.Count > 2 ? shape[0] : 1;
        long rows = shape.Count > 2 ? shape[1] : shape.Count == 2 ? shape[0] : 1;
        UInt128 columns = 1;
        foreach (long size in shape.Skip(Math.Min(2, shape.Count - 1)))
        {
            // A size of 0 anywhere makes the tensor empty, so that the product of the others need not fit.
            columns = UInt128.Min(columns * (UInt128)size, long.MaxValue);
        }

        // Of an empty tensor the sizes themselves can be beyond any memory.
        bool fits = planes <= int.MaxValue && rows <= int.MaxValue && columns <= int.MaxValue
            && (UInt128)rows * columns * (UInt128)elementType.ByteSize() <= long.MaxValue;
        return fits
            ? new MoeTensorView(address, MoeDevice.Cpu, elementType, (int)rows, (int)columns, planes: (int)planes)
            : throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{tensor.Name}' of '{Path}' is {tensor}; sizes up to {int.MaxValue} are expected.");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _accessor.SafeMemoryMappedViewHandle.ReleasePointer();
        _accessor.Dispose();
        _mapping.Dispose();
    }

    private static SafetensorsHeader ReadHeader(string path, SafeFileHandle handle, out long dataStart)
    {
        const int lengthByteCount = SafetensorsHeader.LengthByteCount;
        long fileByteCount = RandomAccess.GetLength(handle);
        Span<byte> length = stackalloc byte[lengthByteCount];
        if (fileByteCount < lengthByteCount || ReadAll(handle, length, 0) < lengthByteCount)
        {
            throw SafetensorsLayout.Error(path, $"it has {fileByteCount} bytes, and the header's length alone takes {lengthByteCount}");
        }

        ulong headerByteCount = BinaryPrimitives.ReadUInt64LittleEndian(length);
        if (headerByteCount > SafetensorsHeader.MaxByteCount)
        {
            throw SafetensorsLayout.Error(
                path,
                $"it starts with a header length of {headerByteCount}; at most {SafetensorsHeader.MaxByteCount} is expected");
        }

        dataStart = lengthByteCount + (long)headerByteCount;
        if (dataStart > fileByteCount)
        {
            throw SafetensorsLayout.Error(
                path,
                $"its header should take {headerByteCount} bytes, and only {fileByteCount - lengthByteCount} follow: it is cut short");
        }

        byte[] json = new byte[headerByteCount];
        int read = ReadAll(handle, json, lengthByteCount);
        return SafetensorsHeaderReader.Read(path, json.AsSpan(0, read), fileByteCount - dataStart);
    }

    private static int ReadAll(SafeFileHandle handle, Span<byte> destination, long offset)
    {
        int total = 0;
        while (total < destination.Length && RandomAccess.Read(handle, destination[total..], offset + total) is int read and > 0)
        {
            total += read;
        }

        return total;
    }
}
