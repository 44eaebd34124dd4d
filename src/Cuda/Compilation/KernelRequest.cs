using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins.Cuda;

/// <summary>All that decides what comes out of a compilation, but for the compiler's version.</summary>
internal sealed class KernelRequest
{
    /// <summary>Counts up when an entry's format or the options that every source gets change.</summary>
    private const string Format = "1";

    internal KernelRequest(KernelSource source, CudaArchitecture architecture, KernelCompileOptions options)
    {
        Source = source;
        Architecture = architecture;
        NameExpressions = options.NameExpressions;
        Options =
        [
            $"--gpu-architecture={architecture.Target}",
            "--std=c++17",
            "--device-as-default-execution-space",
            "--ptxas-options=-v",
            .. options.Defines.Select(define => $"--define-macro={define}"),
            .. options.Options,
        ];
        Key = Hash();
    }

    internal KernelSource Source { get; }

    internal CudaArchitecture Architecture { get; }

    internal IReadOnlyList<string> NameExpressions { get; }

    internal string[] Options { get; }

    internal string Key { get; }

    private string Hash()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Add(hash, [Format, Source.Name, Source.Text]);
        Add(hash, [.. Source.Headers.SelectMany(header => new[] { header.Name, header.Text })]);
        Add(hash, Options);
        Add(hash, NameExpressions);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // Counts and lengths go in too: what moves from one part to the next must not hash the same.
    private static void Add(IncrementalHash hash, IReadOnlyList<string> parts)
    {
        hash.AppendData(BitConverter.GetBytes(parts.Count));
        foreach (string part in parts)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(part);
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }
    }
}
