using System.Text;
using CsCheck;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>Whatever a file holds, opening it succeeds or throws <see cref="MoeException"/>.</summary>
public sealed class AnyBytesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static readonly Gen<string> Number = Gen.OneOf(
        Gen.Long.Select(value => value.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        Gen.Int[0, 40].Select(value => value.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        Gen.OneOf("1e3", "-0", "null", "99999999999999999999", "\"7\"", "[]"));

    private static readonly Gen<string> Array = Number.List[0, 4].Select(list => $"[{string.Join(",", list)}]");

    private static readonly Gen<string> Entry = Gen.Select(
        Gen.OneOf("a", "b", "__metadata__", "model.layers.0.mlp.experts.gate_up_proj_blocks", "\\ud800", "\\u0000"),
        Gen.OneOf("U8", "BF16", "F4", "C64", "X", "\\udc00"),
        Array,
        Array,
        (name, type, shape, range) => $$"""
            "{{name}}":{"dtype":"{{type}}","shape":{{shape}},"data_offsets":{{range}}}
            """);

    private static readonly Gen<string> Header = Entry.List[0, 4].Select(list => $"{{{string.Join(",", list)}}}");

    [Fact]
    public void Random_headers() =>
        Header.Select(Gen.Int[0, 64]).Sample((header, data) => OpenOrRefuse(_folder.Write(NewName(), header, data)), iter: 400);

    [Fact]
    public void Headers_with_a_byte_changed()
    {
        byte[] header = Encoding.UTF8.GetBytes(
            """{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[2,4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[8,16]}}""");
        Gen.Select(Gen.Int[0, header.Length - 1], Gen.Byte).Sample(
            (at, value) =>
            {
                byte[] changed = [.. header];
                changed[at] = value;
                OpenOrRefuse(_folder.Write(NewName(), changed, (ulong)changed.Length, 16));
            },
            iter: 400);
    }

    [Fact]
    public void Random_bytes() =>
        Gen.Byte.Array[0, 64].Select(Gen.Int[0, 70]).Sample((json, stated) => OpenOrRefuse(_folder.Write(NewName(), json, (ulong)stated, 0)), iter: 400);

    [Fact]
    public void A_file_cut_anywhere_is_refused()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "golden", "tiny.safetensors"));
        Gen.Int[0, whole.Length - 1].Sample(
            length =>
            {
                string path = _folder.File(NewName());
                File.WriteAllBytes(path, whole[..length]);
                Assert.Throws<MoeException>(() => SafetensorsFile.Open(path));
                File.Delete(path);
            },
            iter: 200);
    }

    public void Dispose() => _folder.Dispose();

    private static string NewName() => $"{Guid.NewGuid():N}.safetensors";

    private static void OpenOrRefuse(string path)
    {
        try
        {
            using var checkpoint = Checkpoint.Open(path);
            foreach (string name in checkpoint.Files[0].Tensors.Keys)
            {
                checkpoint.TryGetTensor(name, out _);
            }
        }
        catch (MoeException)
        {
        }

        File.Delete(path);
    }
}
