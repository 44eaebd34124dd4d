using System.Security.Cryptography;

namespace Moe.Plugins.Tests;

/// <summary>A drop folder with the plugin Good, some files beside it, and a lock file that pins it.</summary>
internal sealed class PinnedFolder : IDisposable
{
    public PinnedFolder()
    {
        Drop = new DropFolder()
            .With("Good")
            .WithFile("Good", "kernels/route.cu", "__global__ void route() {}"u8.ToArray())
            .WithFile("Good", "libgood.so", [1, 2, 3]);
        Trust();
    }

    public DropFolder Drop { get; }

    public string Folder => Path.Combine(Drop.Plugins, "Good");

    public string LockFile => Path.Combine(Drop.Root, "moe.plugins.lock.json");

    public MoeOptions Options
    {
        get
        {
            MoeOptions options = Drop.Options;
            options.Trust = MoeTrust.Pinned;
            options.LockFile = LockFile;
            return options;
        }
    }

    public void Trust() => MoePluginFolder.Read(Folder).PinIn(LockFile);

    /// <summary>Signs the lock file, and returns the file of the public key.</summary>
    public string Sign(ECCurve curve, bool keepsOldKey = false)
    {
        using var key = ECDsa.Create(curve);
        byte[] signature = key.SignData(File.ReadAllBytes(LockFile), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        File.WriteAllBytes(LockFile + ".sig", signature);
        string path = Path.Combine(Drop.Root, "key.pem");
        if (!keepsOldKey)
        {
            File.WriteAllText(path, key.ExportSubjectPublicKeyInfoPem());
        }

        return path;
    }

    /// <summary>What the host makes of the plugin.</summary>
    public MoePluginInfo Load(MoeOptions? options = null)
    {
        using MoeHost host = MoeHost.Create(options ?? Options);
        return Assert.Single(host.Plugins);
    }

    public void Dispose() => Drop.Dispose();
}
