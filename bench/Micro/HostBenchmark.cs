using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Micro;

/// <summary>What a program pays once: loading the plugins beside it, choosing a backend, sizing a layer, reading settings.</summary>
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet disposes by way of Cleanup.")]
public class HostBenchmark
{
    private readonly MoeLayerRequest _request = new() { Name = "model.layers.3.mlp", Shape = MoeLayerShape.GptOss20B };
    private readonly IdleMethod _method = new(256, skips: false);
    private readonly MoeOptions _options = new();
    private MoeHost _host = null!;
    private IConfigurationRoot _configuration = null!;

    /// <summary>Makes the host, and so the private copies of the plugins.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _host = MoeHost.Create(_options);
        _configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Moe:Backend"] = "auto",
            ["Moe:Order:0"] = "Bf16",
            ["Moe:Order:1"] = "Cpu",
            ["Moe:Layers:model.layers.0.*"] = "Cpu",
            ["Moe:Plugins:Cpu:Threads"] = "8",
        }).Build();
    }

    /// <summary>Unloads the plugins.</summary>
    [GlobalCleanup]
    public void Cleanup() => _host.Dispose();

    /// <summary>Finds, hashes, loads and activates every plugin, and unloads them.</summary>
    [Benchmark]
    public void LoadPlugins() => MoeHost.Create(_options).Dispose();

    /// <summary>Asks every backend, and chooses.</summary>
    [Benchmark]
    public MoeSelectionReport Select() => _host.Explain(_request);

    /// <summary>Rounds a layer's sizes.</summary>
    [Benchmark]
    public MoeLayerConfig CreateConfig() => MoeLayerConfig.Create(_request.Shape, _method);

    /// <summary>Reads the host's settings.</summary>
    [Benchmark]
    public MoeOptions ReadSettings() => MoeOptions.From(_configuration);
}
