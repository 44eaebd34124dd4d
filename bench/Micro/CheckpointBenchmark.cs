using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Micro;

/// <summary>Opening checkpoints: one of very many tensors, and one of very many bytes, of which only the header may be read.</summary>
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet disposes by way of Cleanup.")]
public class CheckpointBenchmark
{
    private const int ManyTensors = 100_000;

    /// <summary>Layers of gpt-oss-120b, 1.7 GB each: 60 GB.</summary>
    private const int LargeLayers = 35;

    private static readonly CheckpointOptions Options = new() { TopK = 4, SwiGluAlpha = 1.702f, SwiGluLimit = 7 };

    private string _folder = null!;
    private string _many = null!;
    private string _large = null!;

    /// <summary>Writes the files; the large one is sparse, and takes no room.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _folder = Directory.CreateTempSubdirectory("moe-micro-").FullName;
        _many = Path.Combine(_folder, "many.safetensors");
        SparseFile.Write(_many, Enumerable.Range(0, ManyTensors).Select(i => ($"model.layers.{i / 100}.part.{i % 100}.weight", "BF16", new long[] { 4, 8 })));
        _large = Path.Combine(_folder, "large.safetensors");
        SparseFile.Write(_large, Enumerable.Range(0, LargeLayers).SelectMany(SparseFile.GptOssLayer));
    }

    /// <summary>Deletes them.</summary>
    [GlobalCleanup]
    public void Cleanup() => Directory.Delete(_folder, recursive: true);

    /// <summary>A header of 100,000 tensors.</summary>
    [Benchmark]
    public int OpenManyTensors()
    {
        using var file = SafetensorsFile.Open(_many);
        return file.Tensors.Count;
    }

    /// <summary>A checkpoint of 60 GB, its layers found and checked.</summary>
    [Benchmark]
    public int OpenLarge()
    {
        using var checkpoint = Checkpoint.Open(_large, Options);
        return checkpoint.MoeLayers.Count;
    }

    /// <summary>The same, and a byte of the last tensor.</summary>
    [Benchmark]
    public unsafe int ReadOneByteOfLarge()
    {
        using var checkpoint = Checkpoint.Open(_large, Options);
        MoeStoredTensor last = checkpoint.MoeLayers[^1].Source.Down.Values;
        byte value;
        last.Read(last.Planes - 1, last.Rows - 1, 1, last.Columns - 1, 1, (nint)(&value));
        return value;
    }
}
