namespace Moe.Plugins.Checkpoints.Tests;

public sealed class MalformedFileTests : IDisposable
{
    private const int DataByteCount = 16;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string> Headers => new()
    {
        { "", "does not begin with '{'" },
        { "[]", "does not begin with '{'" },
        { " {}", "does not begin with '{'" },
        { "{", "not valid JSON" },
        { "{}x", "not valid JSON" },
        { "{}{}", "not valid JSON" },
        { """{"a":1}""", "'a' is not described by an object" },
        { """{"a":{}}""", "'a' has no dtype" },
        { """{"a":{"dtype":"U8"}}""", "'a' has no shape" },
        { """{"a":{"dtype":"U8","shape":[16]}}""", "'a' has no data_offsets" },
        { """{"a":{"dtype":8,"shape":[16],"data_offsets":[0,16]}}""", "dtype that is not a string" },
        { """{"a":{"dtype":"U8","shape":16,"data_offsets":[0,16]}}""", "shape that is not an array" },
        { """{"a":{"dtype":"U8","shape":[-16],"data_offsets":[0,16]}}""", "whole number" },
        { """{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,16]}}""", "whole number" },
        { """{"a":{"dtype":"U8","shape":["16"],"data_offsets":[0,16]}}""", "whole number" },
        { """{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,16]}}""", "whole number" },
        { """{"a":{"dtype":"U8","shape":[9223372036854775807,9223372036854775807,3],"data_offsets":[0,16]}}""", "no whole number of bytes" },
        { """{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,16]}}""", "no whole number of bytes" },
        { """{"a":{"dtype":"F64","shape":[2305843009213693954],"data_offsets":[0,16]}}""", "no whole number of bytes" },
        { """{"a":{"dtype":"F4","shape":[31],"data_offsets":[0,16]}}""", "no whole number of bytes" },
        { """{"a":{"dtype":"U8","shape":[16],"data_offsets":[0]}}""", "[begin, end]" },
        { """{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,8,16]}}""", "[begin, end]" },
        { """{"a":{"dtype":"U8","shape":[16],"data_offsets":[16,0]}}""", "[begin, end]" },
        { """{"a":{"dtype":"BF16","shape":[16],"data_offsets":[0,16]}}""", "32 bytes" },
        { """{"a":{"dtype":"U8","shape":[15],"data_offsets":[0,16]}}""", "15 bytes" },
        { """{"a":{"dtype":"U8","shape":[15],"data_offsets":[1,16]}}""", "leaves a hole after the start" },
        { """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[7],"data_offsets":[9,16]}}""", "'b' leaves a hole after tensor 'a'" },
        { """{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}}""", "'b' overlaps tensor 'a'" },
        { """{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "'b' overlaps tensor 'a'" },
        { """{"a":{"dtype":"U8","shape":[17],"data_offsets":[0,17]}}""", "cut short" },
        { """{"a":{"dtype":"U8","shape":[15],"data_offsets":[0,15]}}""", "goes on to 16" },
        { "{}", "goes on to 16" },
        { """{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "'a' is described twice" },
        { """{"a":{"dtype":"U8","dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "dtype twice" },
        { """{"a":{"dtype":"U8","shape":[16],"shape":[16],"data_offsets":[0,16]}}""", "shape twice" },
        { """{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16],"data_offsets":[0,16]}}""", "data_offsets twice" },
        { """{"__metadata__":1,"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "__metadata__ is not an object" },
        { """{"__metadata__":{"x":1},"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "'x' is not a string" },
        { """{"__metadata__":{"x":"1","x":"2"},"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "'x' twice" },
        { """{"__metadata__":{},"__metadata__":{},"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "__metadata__ twice" },
        { """{"\ud800":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}""", "not valid JSON" },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public void A_malformed_header_is_refused_with_the_file_and_the_fault(string header, string fault) =>
        AssertRefused(_folder.Write("bad.safetensors", header, DataByteCount), fault);

    [Fact]
    public void A_header_beyond_the_limit_is_refused_before_it_is_read() =>
        AssertRefused(_folder.Write("bad.safetensors", "{}"u8.ToArray(), 100_000_001, 200_000_000), "at most 100000000");

    [Fact]
    public void A_header_length_beyond_any_signed_number_is_refused() =>
        AssertRefused(_folder.Write("bad.safetensors", "{}"u8.ToArray(), ulong.MaxValue, 0), "18446744073709551615");

    [Fact]
    public void A_header_longer_than_the_file_is_refused() =>
        AssertRefused(_folder.Write("bad.safetensors", "{}"u8.ToArray(), 100, 0), "cut short");

    [Fact]
    public void A_file_without_room_for_the_length_is_refused()
    {
        File.WriteAllBytes(_folder.File("bad.safetensors"), [1, 2, 3]);
        AssertRefused(_folder.File("bad.safetensors"), "it has 3 bytes");
    }

    [Fact]
    public void A_missing_file_is_not_found()
    {
        var exception = Assert.Throws<MoeException>(() => SafetensorsFile.Open(_folder.File("none")));
        Assert.Equal(MoeReason.NotFound, exception.Reason);
        Assert.Contains("none", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors", "Git LFS pointer")]
    [InlineData("model.gguf", "GGUF")]
    [InlineData("pytorch_model.bin", "PyTorch")]
    [InlineData("page.safetensors", "HTML")]
    [InlineData("model.safetensors.index.json", "open the folder")]
    public void Another_format_is_called_by_its_name(string file, string expected) =>
        AssertRefused(Path.Combine(AppContext.BaseDirectory, "golden", "cases", "not-safetensors", file), expected);

    [Fact]
    public void A_dtype_of_tomorrow_is_in_the_way_of_its_own_tensor_alone()
    {
        string path = _folder.Write(
            "new.safetensors",
            """{"a":{"dtype":"F3_E1M1","shape":[7],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[13],"data_offsets":[3,16]}}""",
            DataByteCount);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(13, file.GetTensor(file.Tensors["b"]).ByteCount);
        Assert.Equal("F3_E1M1 [7]", file.Tensors["a"].ToString());
        Assert.Contains("F3_E1M1", Assert.Throws<MoeException>(() => file.GetTensor(file.Tensors["a"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_of_any_length_and_kind_makes_a_short_plain_message()
    {
        string name = "\u001b[31m\u202e" + new string('x', 5_000_000);
        string path = _folder.Write("long.safetensors", $$$"""{"{{{name}}}":{"dtype":"U8","shape":[17],"data_offsets":[0,17]}}""", DataByteCount);
        string message = Assert.Throws<MoeException>(() => SafetensorsFile.Open(path)).Message;
        Assert.InRange(message.Length, 1, 2000);
        Assert.DoesNotContain('\e', message);
        Assert.DoesNotContain('\u202e', message);
    }

    [Fact]
    public void A_folder_is_no_file() =>
        Assert.Equal(MoeReason.NotFound, Assert.Throws<MoeException>(() => SafetensorsFile.Open(_folder.Path)).Reason);

    public void Dispose() => _folder.Dispose();

    private static void AssertRefused(string path, string fault)
    {
        var exception = Assert.Throws<MoeException>(() => SafetensorsFile.Open(path));
        Assert.Equal(MoeReason.Checkpoint, exception.Reason);
        Assert.Contains(path, exception.Message, StringComparison.Ordinal);
        Assert.Contains(fault, exception.Message, StringComparison.Ordinal);
    }
}
