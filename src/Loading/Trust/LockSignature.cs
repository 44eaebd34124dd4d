using System.Security.Cryptography;

namespace Moe.Plugins;

/// <summary>
/// The detached signature of a lock file: ECDSA over P-256 and SHA-256 (FIPS 186-5, §6), as <c>openssl dgst -sha256 -sign</c> writes it, in
/// the file of the same name with <c>.sig</c> after it.
/// </summary>
internal static class LockSignature
{
    public const string Extension = ".sig";

    /// <summary>Longest signature or key that is read.</summary>
    private const int MaxByteCount = 16 << 10;

    // RFC 5480, §2.1.1.1: secp256r1.
    private const string P256 = "1.2.840.10045.3.1.7";

    /// <param name="content">What the lock file of <paramref name="options"/> holds.</param>
    /// <param name="options">Say where it is, and whose signature counts.</param>
    /// <exception cref="MoeException">There is no signature, or none of the keys made it.</exception>
    public static void Check(byte[] content, MoeOptions options)
    {
        string lockFile = options.LockFilePath;
        string setting = options.PathOf(nameof(MoeOptions.TrustKeys));
        byte[] signature = RegularFile.ReadAllBytes(RealPath.Of(lockFile + Extension), MaxByteCount, MoeReason.Trust);
        foreach (string key in options.TrustKeys)
        {
            using ECDsa publicKey = Read(key, setting);
            if (publicKey.VerifyData(content, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))
            {
                return;
            }
        }

        throw new MoeException(
            MoeReason.Trust,
            $"{lockFile + Extension} is not a signature of {lockFile} by a key of {setting}.");
    }

    private static ECDsa Read(string key, string setting)
    {
        string path = Path.GetFullPath(key, AppContext.BaseDirectory);
        if (!File.Exists(path))
        {
            throw new MoeException(MoeReason.Trust, $"{path}, which {setting} names, is not there.");
        }

        path = WriteAccess.Resolve(path);
        string pem = System.Text.Encoding.UTF8.GetString(RegularFile.ReadAllBytes(path, MaxByteCount, MoeReason.Trust));
        var result = ECDsa.Create();
        try
        {
            result.ImportFromPem(pem);
            return result.ExportParameters(includePrivateParameters: false).Curve.Oid.Value == P256
                ? result
                : throw new MoeException(MoeReason.Trust, $"{path} holds a key of another curve; ECDSA P-256 is expected.");
        }
        catch (Exception exception)
        {
            result.Dispose();
            if (exception is MoeException)
            {
                throw;
            }

            throw new MoeException(MoeReason.Trust, $"{path} is no ECDSA P-256 public key in PEM: {exception.Message}", exception);
        }
    }
}
