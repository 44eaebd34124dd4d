using System.Text;

namespace Moe.Plugins.Tests;

/// <summary>A drop folder with the plugin Working, whose DLL tests replace by other versions of its code.</summary>
internal sealed class WorkingFolder : IDisposable
{
    private static readonly byte[] Original = File.ReadAllBytes(Path.Combine(DropFolder.FixtureOf("Working"), "Working.dll"));

    public DropFolder Drop { get; } = new DropFolder().With("Working");

    public string Assembly => Drop.MainAssemblyOf("Working");

    /// <summary>The DLL with another number as its answer: other code, of the same length.</summary>
    public static byte[] Version(int answer) => With($"{answer:0000}");

    /// <summary>The DLL with code that throws when its backend is made.</summary>
    public static byte[] Broken() => With("oops");

    public static MoeLayer CreateLayer(MoeHost host) => host.CreateLayer(TinyLayer.Request, TinyLayer.Weights);

    /// <summary>Runs one token, and returns the number that the layer's version of the code writes.</summary>
    public static float Run(MoeLayer layer)
    {
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(1, 5);
        using var output = new Floats(1, 5);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
        return output[0, 4];
    }

    public void RenameOver(byte[] content)
    {
        File.WriteAllBytes(Assembly + ".new", content);
        File.Move(Assembly + ".new", Assembly, overwrite: true);
    }

    public void OverwriteInPlace(byte[] content)
    {
        using FileStream stream = File.OpenWrite(Assembly);
        stream.SetLength(content.Length);
        stream.Write(content);
    }

    public void DeleteThenCreate(byte[] content)
    {
        string plugin = Path.GetDirectoryName(Assembly)!;
        if (Directory.Exists(plugin))
        {
            Directory.Delete(plugin, recursive: true);
        }

        Drop.With("Working").WithFile("Working", "Working.dll", content);
    }

    public void Dispose() => Drop.Dispose();

    private static byte[] With(string answer)
    {
        byte[] bytes = [.. Original];
        int at = bytes.AsSpan().IndexOf(Encoding.Unicode.GetBytes("ANSWER-0001"));
        Assert.True(at > 0);
        Encoding.Unicode.GetBytes($"ANSWER-{answer}").CopyTo(bytes, at);
        return bytes;
    }
}
