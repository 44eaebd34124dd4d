namespace Cuda.Tests;

internal sealed class TemporaryFolder : IDisposable
{
    internal string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), "cuda-tests-" + Guid.NewGuid().ToString("n"));

    internal string[] Files => Directory.GetFiles(Path);

    public void Dispose()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }
}
