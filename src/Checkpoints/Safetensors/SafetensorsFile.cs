using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// A safetensors file that is open for reading: opening reads the header alone, and a tensor's bytes come from the disk when somebody
/// reads them.
/// </summary>
/// <remarks>
/// Thread-safe but for Dispose, after which its tensors cannot be read. Nothing is mapped: a file that somebody cuts short while it is
/// open makes reads of what is gone fail, and does not end the process.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private readonly SafetensorsHeader _header;
    private readonly SafeFileHandle _handle;
    private readonly long _dataStart;

    private SafetensorsFile(string path, SafetensorsHeader header, SafeFileHandle handle, long dataStart)
    {
        Path = path;
        _header = header;
        _handle = handle;
        _dataStart = dataStart;
    }

    /// <summary>The file's full path.</summary>
    public string Path { get; }

    /// <summary>All tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsTensor> Tensors => _header.Tensors;

    /// <summary>The strings that the file keeps beside its tensors (<c>__metadata__</c>); empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>The same, to be looked up by other things than strings.</summary>
    internal Dictionary<string, SafetensorsTensor> Lookup => _header.Tensors;

    /// <summary>Opens a file and checks its whole header against the file's length.</summary>
    /// <exception cref="MoeException">
    /// The file is not there, is no regular file or cannot be read (<see cref="MoeReason.NotFound"/>), or it is no well-formed safetensors
    /// file (<see cref="MoeReason.Checkpoint"/>); the message names the file, the tensor and what was expected.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        (string fullPath, SafeFileHandle handle) = ModelFile.Open(path);
        try
        {
            SafetensorsHeader header = SafetensorsHeaderReader.Read(path, handle, out long dataStart);
            return new SafetensorsFile(fullPath, header, handle, dataStart);
        }
        catch (IOException exception)
        {
            handle.Dispose();
            throw ModelFile.CannotRead(path, exception);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Looks a tensor up.</summary>
    /// <returns>Whether the file has a tensor of that name.</returns>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out SafetensorsTensor? tensor)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _header.Tensors.TryGetValue(name, out tensor);
    }

    /// <summary>
    /// A tensor as the contract reads it. One or no dimension is a single row, two are a matrix; of more the first counts planes, the second
    /// rows, and the others run together along the row. U32 is read as four bytes.
    /// </summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <returns>The tensor, which reads from this file and so can be read until Dispose.</returns>
    /// <exception cref="ArgumentException">The tensor is another file's.</exception>
    /// <exception cref="MoeException">The contract has no such element type, or a size is beyond 2³¹ − 1.</exception>
    public MoeStoredTensor GetTensor(SafetensorsTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!TryGetTensor(tensor.Name, out SafetensorsTensor? own) || !ReferenceEquals(own, tensor))
        {
            throw new ArgumentException($"Tensor '{PlainText.Of(tensor.Name)}' is not of '{Path}'.", nameof(tensor));
        }

        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        return SafetensorsData.Create(Path, tensor, _handle, _dataStart);
    }

    /// <summary>Copies a tensor's bytes as they are, a piece after the other, in order.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="destination">Where they go.</param>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    internal void CopyTo(SafetensorsTensor tensor, Stream destination)
    {
        byte[] buffer = new byte[Math.Min(tensor.ByteCount, 4 << 20)];
        for (long at = 0; at < tensor.ByteCount; at += buffer.Length)
        {
            Span<byte> piece = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.ByteCount - at));
            ModelFile.ReadExactly(_handle, piece, _dataStart + tensor.Offset + at, Path, tensor);
            destination.Write(piece);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
