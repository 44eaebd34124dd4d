using System.Runtime.InteropServices;
using System.Text.Json;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli.Tests;

public sealed class GenerateTests
{
    private static string Tiny => Path.Combine(AppContext.BaseDirectory, "golden", "gpt-oss-tiny");

    [Fact]
    public async Task Greedy_tokens_of_the_golden_model()
    {
        using var expected = SafetensorsFile.Open(Path.Combine(Tiny, "expected.safetensors"));
        string prompt = string.Join(',', Read(expected, "prompt"));
        JsonElement json = (await Cli.Run(
            "generate", "--model", Tiny, "--prompt-ids", prompt, "--max-tokens", "24", "--temperature", "0", "--ignore-stop", "--backend", "Cpu", "--json")).Json();
        Assert.Equal(Read(expected, "generated"), json.GetProperty("generated").EnumerateArray().Select(id => id.GetInt64()));
        Assert.Equal(JsonValueKind.Null, json.GetProperty("text").ValueKind);
        Assert.Equal(29, json.GetProperty("prompt_tokens").GetInt32());
        Assert.True(json.GetProperty("prompt_tokens_per_second").GetDouble() > 0);
        Assert.True(json.GetProperty("decode_tokens_per_second").GetDouble() > 0);
        Assert.True(json.GetProperty("time_to_first_token").GetDouble() > 0);
        Assert.Equal(
            [("model.layers.0.mlp", "Cpu"), ("model.layers.1.mlp", "Cpu"), ("model.layers.2.mlp", "Cpu"), ("model.layers.3.mlp", "Cpu")],
            json.GetProperty("layers").EnumerateArray().Select(layer => (layer.GetProperty("name").GetString(), layer.GetProperty("backend").GetString())));
    }

    [Fact]
    public async Task Without_a_model_it_babbles_and_says_so()
    {
        Cli result = await Cli.Run("generate", "--seed", "4", "--max-tokens", "60", "--ignore-stop");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("sample model, which babbles", result.Error, StringComparison.Ordinal);
        Assert.Contains("60 tokens written", result.Error, StringComparison.Ordinal);
        Assert.NotEmpty(result.Output.Trim());

        string text = (await Cli.Run("generate", "--seed", "4", "--max-tokens", "60", "--ignore-stop", "--json")).Json().GetProperty("text").GetString()!;
        Assert.Contains(text[..10], result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("'1.5'", "--prompt-ids", "1,1.5")]
    [InlineData("Token 320 is not in the vocabulary", "--prompt-ids", "320")]
    [InlineData("only one of them is expected", "--prompt-ids", "1", "--prompt", "x")]
    [InlineData("'x'; a number is expected", "--prompt-ids", "1", "--temperature", "x")]
    [InlineData("its tokens have no text. --prompt-ids takes token ids instead.", "--prompt", "Hello?")]
    [InlineData("more than the context of 2 (--context)", "--prompt-ids", "1,2,3", "--context", "2")]
    [InlineData("GB are available. A smaller context, or expert layers on a GPU, need less. --context sets the context", "--prompt-ids", "1", "--context", "2000000000")]
    [InlineData("--top-p is 7; more than 0 and at most 1 is expected.", "--prompt-ids", "1", "--top-p", "7")]
    [InlineData("--temperature is -1; 0 or more is expected.", "--prompt-ids", "1", "--temperature", "-1")]
    [InlineData("--min-p is 1; 0 or more and less than 1 is expected.", "--prompt-ids", "1", "--min-p", "1")]
    public async Task What_is_wrong_is_said(string expected, params string[] arguments)
    {
        Cli result = await Cli.Run(["generate", "--model", Tiny, .. arguments]);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Continued_tokens_say_why_they_end()
    {
        Cli result = await Cli.Run("generate", "--model", Tiny, "--prompt-ids", "1,2", "--max-tokens", "3", "--json");
        Assert.Equal("length", result.Json().GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task Continued_tokens_are_written_as_they_are_where_no_terminal_is()
    {
        string[] arguments = ["generate", "--prompt-ids", "1,2", "--temperature", "5", "--seed", "3", "--max-tokens", "200", "--ignore-stop"];
        string text = (await Cli.Run([.. arguments, "--json"])).Json().GetProperty("text").GetString()!;
        Assert.False(PlainText.IsPlain(text), "The text has nothing that would be changed for a terminal.");
        Assert.Equal(text + "\n", (await Cli.Run(arguments)).Output);
    }

    [Fact]
    public async Task A_backend_that_is_not_there_is_named()
    {
        Cli result = await Cli.Run("generate", "--model", Tiny, "--prompt-ids", "1", "--backend", "Nobody");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("Nobody", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_chat_goes_on_until_the_input_ends()
    {
        TextReader before = Console.In;
        try
        {
            Console.SetIn(new StringReader("Hello?\n\n/new\nAnd now?\n"));
            Cli result = await Cli.Run("chat", "--seed", "1", "--max-tokens", "20");
            Assert.Equal(0, result.ExitCode);
            Assert.NotEmpty((result.Output + result.Error).Trim());
        }
        finally
        {
            Console.SetIn(before);
        }
    }

    private static long[] Read(SafetensorsFile file, string name)
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(file.GetTensor(file.Tensors[name]));
        byte[] bytes = new byte[buffer.ByteCount];
        buffer.CopyToBytes(bytes);
        return MemoryMarshal.Cast<byte, long>(bytes.AsSpan()).ToArray();
    }
}
