using System.Security.Cryptography;
using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Tests;

/// <summary>A host whose options stand in another section than <c>Moe</c>: each message names the key that its user wrote.</summary>
public sealed class SectionTests : IDisposable
{
    private const string Section = "App:Experts";

    private readonly PinnedFolder _pinned = new();

    [Fact]
    public void What_any_folder_may_hold_and_what_is_not_tried() => Says(
        [],
        $"{Section}:Trust is Any: any folder will do.",
        $"{Section}:Trust is Any: every DLL",
        $"{Section}:Trial is InProcess");

    [Fact]
    public void A_lock_file_that_is_not_there()
    {
        File.Delete(_pinned.LockFile);
        Says([("Trust", "Pinned")], $"{Section}:Trust is Pinned, and there is no lock file");
    }

    [Fact]
    public void A_key_that_is_not_there()
    {
        _pinned.Sign(ECCurve.NamedCurves.nistP256);
        Says([("Trust", "Signed"), ("TrustKeys", "/none.pem")], $"none.pem, which {Section}:TrustKeys names, is not there.");
    }

    [Fact]
    public void A_signature_by_nobody()
    {
        string key = _pinned.Sign(ECCurve.NamedCurves.nistP256);
        _pinned.Sign(ECCurve.NamedCurves.nistP256, keepsOldKey: true);
        Says([("Trust", "Signed"), ("TrustKeys", key)], $"by a key of {Section}:TrustKeys.");
    }

    [Fact]
    public void A_staging_folder_that_cannot_be_made() =>
        Says([("StagingFolder", Path.Combine(_pinned.LockFile, "staging"))], $"Set {Section}:StagingFolder to a folder");

    [Fact]
    public void A_plugin_that_does_not_come_back()
    {
        _pinned.Drop.With("Misbehaving");
        Says([("ActivationTimeout", "00:00:00.3"), ("Plugins:Misbehaving:mode", "create:hang")], $"did not return within 0.3 s ({Section}:ActivationTimeout).");
    }

    /// <summary>Where it read them from is not known.</summary>
    [Fact]
    public void What_a_program_sets_is_named_by_its_property()
    {
        MoeOptions options = _pinned.Options;
        File.Delete(_pinned.LockFile);
        options.ActivationTimeout = TimeSpan.Zero;
        Assert.Equal(["MoeOptions.ActivationTimeout"], Assert.Throws<MoeOptionsException>(() => MoeHost.Create(options)).Keys);

        options.ActivationTimeout = TimeSpan.FromSeconds(1);
        Assert.StartsWith("MoeOptions.Trust is Pinned, and there is no lock file", _pinned.Load(options).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranks_know_where_theirs_stand()
    {
        using MoeHost host = MoeHost.Create(Options([("Parallel:Tensor", "2")]));
        Assert.Equal($"{Section}:Parallel:Launcher", host.Ranks.SettingPath("Launcher"));
    }

    public void Dispose() => _pinned.Dispose();

    private void Says((string Key, string Value)[] values, params string[] expected)
    {
        using var log = new ListLog();
        using MoeHost host = MoeHost.Create(Options(values), log);
        string[] said = [.. log.Lines.Select(static line => line.Text), .. host.Plugins.SelectMany(static plugin => plugin.Steps).Select(static step => step.Sentence)];

        Assert.All(expected, words => Assert.Contains(said, text => text.Contains(words, StringComparison.Ordinal)));
        Assert.DoesNotContain(said, static text => text.Contains("Moe:", StringComparison.Ordinal));
    }

    private MoeOptions Options((string Key, string Value)[] values)
    {
        (string, string)[] all =
        [
            ("PluginFolders", _pinned.Drop.Plugins),
            ("StagingFolder", _pinned.Drop.Staging),
            ("LockFile", _pinned.LockFile),
            ("Trial", "InProcess"),
            .. values,
        ];
        var settings = new Dictionary<string, string?>();
        foreach ((string key, string value) in all)
        {
            settings[$"{Section}:{key}"] = value;
        }

        return MoeOptions.From(new ConfigurationBuilder().AddInMemoryCollection(settings).Build().GetSection(Section));
    }
}
