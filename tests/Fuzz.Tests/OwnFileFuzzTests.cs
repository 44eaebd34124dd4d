using System.Security.Cryptography;
using System.Text;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Fuzz;

/// <summary>Files that this program wrote once, and somebody else may have written since.</summary>
public sealed class OwnFileFuzzTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("moe-fuzz-").FullName;
    private readonly ITestOutputHelper _output;

    public OwnFileFuzzTests(ITestOutputHelper output) => _output = output;

    [Fact]
    public void Verdicts()
    {
        string hash = new('a', 64);
        string path = Path.Combine(Directory.CreateDirectory(Path.Combine(_folder, ".verdicts")).FullName, hash + ".json");
        File.WriteAllBytes(path, []);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        Fuzzer.Run(
            FuzzTests.Texts(
                $$"""{"id":"Cpu","version":"1.0","hash":"{{hash}}","reason":"None","sentence":"","runtime":".NET 10","seconds":10,"settings":""}""",
                $$"""{"id":"a.b","version":"","hash":"{{hash}}","reason":"TimedOut","sentence":"x","runtime":"","seconds":0.5,"settings":"{{hash}}"}"""),
            [.. FuzzTests.JsonWords, .. FuzzTests.Texts("reason", "Crashed", "ContextLost", "4294967296", "seconds", "NaN", "hash", hash)],
            input =>
            {
                File.WriteAllBytes(path, input);
                RefuseUnless(new VerdictStore(_folder).All().Any());
            },
            _output);
    }

    [Fact]
    public void Compiled_kernels()
    {
        var image = new KernelImage(
            [1, 2, 3, 4],
            "ptxas info    : Compiling entry function 'k' for 'sm_90a'\nptxas info    : Used 40 registers, 8 bytes spill stores, 384 bytes cmem[0]\n",
            new Dictionary<string, string> { ["k<1>"] = "_Z1kILi1EEvv" },
            KernelImageOrigin.Cache);
        byte[] entry = KernelCacheEntry.Write(image)[SHA256.HashSizeInBytes..];
        Fuzzer.Run(
            [entry],
            FuzzTests.Texts("ptxas info    : Used 99999999999 registers", "Compiling entry function '", "\u007f", "\u00ff\u00ff\u00ff\u00ff", "\n"),
            input =>
            {
                // With a hash that is right: a wrong one is refused before anything is read.
                byte[] file = [.. SHA256.HashData(input), .. input];
                RefuseUnless(KernelCacheEntry.TryRead(file, KernelImageOrigin.Cache, out KernelImage? read) && read.Reports.Count >= 0);
            },
            _output);
    }

    [Fact]
    public void Frameworks_that_a_plugin_needs()
    {
        string assembly = Path.Combine(_folder, "Plugin.dll");
        Fuzzer.Run(
            FuzzTests.Texts(
                """{"runtimeOptions":{"tfm":"net10.0","framework":{"name":"Microsoft.NETCore.App","version":"10.0.0"}}}""",
                """{"runtimeOptions":{"frameworks":[{"name":"Microsoft.NETCore.App"},{"name":"Microsoft.AspNetCore.App"}]}}"""),
            [.. FuzzTests.JsonWords, .. FuzzTests.Texts("name", "framework", "frameworks", "runtimeOptions")],
            input =>
            {
                File.WriteAllBytes(Path.ChangeExtension(assembly, ".runtimeconfig.json"), input);
                LoaderFilesCheck.Check(assembly);
                FrameworkCheck.Check(assembly);
            },
            _output);
    }

    [Fact]
    public void Files_that_lead_a_loader()
    {
        string assembly = Path.Combine(_folder, "Leading.dll");
        Fuzzer.Run(
            FuzzTests.Texts(
                """{"targets":{".NETCoreApp,Version=v10.0":{"A/1.0.0":{"runtime":{"lib/net10.0/A.dll":{}},"resources":{"de/A.dll":{"locale":"de"}}}}},"libraries":{"A/1.0.0":{"type":"package","path":"a/1.0.0"}}}""",
                """{"runtimeOptions":{"tfm":"net10.0","additionalProbingPaths":["/tmp"]}}"""),
            [.. FuzzTests.JsonWords, .. FuzzTests.Texts("../", "/", "path", "locale", "runtimeOptions", "additionalProbingPaths", "tfm")],
            input =>
            {
                foreach (string extension in (string[])[".deps.json", ".runtimeconfig.json", ".runtimeconfig.dev.json"])
                {
                    File.WriteAllBytes(Path.ChangeExtension(assembly, extension), input);
                }

                LoaderFilesCheck.Check(assembly);
            },
            _output);
    }

    [Fact]
    public void Signatures_and_keys()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[] content = Encoding.UTF8.GetBytes("{}");
        string lockFile = Path.Combine(_folder, "moe.plugins.lock.json");
        string keyFile = Path.Combine(_folder, "key.pem");
        var options = new MoeOptions { LockFile = lockFile, TrustKeys = [keyFile] };
        byte[] pem = Encoding.UTF8.GetBytes(key.ExportSubjectPublicKeyInfoPem());
        byte[] signature = key.SignData(content, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        File.WriteAllBytes(keyFile, pem);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        Fuzzer.Run(
            [[.. pem, 0, .. signature]],
            [.. FuzzTests.Texts("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", "-----BEGIN EC PRIVATE KEY-----", "\n", "AAAA"), [0x30, 0x84], [0x02, 0x81, 0xff], [0]],
            input =>
            {
                int end = Array.IndexOf(input, (byte)0) is int at and >= 0 ? at : input.Length;
                File.WriteAllBytes(keyFile, input[..end]);
                File.WriteAllBytes(lockFile + LockSignature.Extension, input[Math.Min(end + 1, input.Length)..]);
                LockSignature.Check(content, options);
            },
            _output);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static void RefuseUnless(bool isRead)
    {
        if (!isRead)
        {
            throw new MoeException(MoeReason.NotFound, "It was not read.");
        }
    }
}
