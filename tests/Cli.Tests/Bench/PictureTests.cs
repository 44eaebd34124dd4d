using SkiaSharp;

namespace Moe.Plugins.Cli.Tests;

public sealed class PictureTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task A_result_becomes_a_picture()
    {
        BenchRow[] rows = [.. Enumerable.Range(0, 8).Select(power => Results.Row(1 << power, 50 * (power + 1)))];
        BenchRow[] others = [.. rows.Select(row => row with { Backend = "Slow", Weights = "bf16", Microseconds = 3 * row.Microseconds, Shape = "gpt-oss-120b" })];
        Results.Of([.. rows, .. others, Results.Row(256, 1).Wrong()]).Save(_folder.File("r.json"));
        Cli result = await Cli.Run("bench", "plot", _folder.File("r.json"), "--peers", PeerTests.File);
        Assert.True(result.ExitCode == 0, result.Error);

        using var picture = SKBitmap.Decode(_folder.File("r.png"));
        Assert.InRange(picture.Width, 700, 1000);
        Assert.True(Colors(picture) > 100, "There is next to nothing in the picture.");

        // Two panels below each other, and something in both.
        using var upper = new SKBitmap();
        using var lower = new SKBitmap();
        picture.ExtractSubset(upper, new SKRectI(0, 0, picture.Width, picture.Height / 2));
        picture.ExtractSubset(lower, new SKRectI(0, picture.Height / 2, picture.Width, picture.Height));
        Assert.True(Colors(upper) > 50 && Colors(lower) > 50);
    }

    [Fact]
    public async Task Peers_are_in_it_when_they_are_given()
    {
        Results.Of(Results.Row(1, 50), Results.Row(128, 500)).Save(_folder.File("r.json"));
        await Cli.Run("bench", "plot", _folder.File("r.json"), "--output", _folder.File("without.png"));
        await Cli.Run("bench", "plot", _folder.File("r.json"), "--output", _folder.File("with.png"), "--peers", PeerTests.File);
        Assert.NotEqual(
            await File.ReadAllBytesAsync(_folder.File("without.png"), TestContext.Current.CancellationToken),
            await File.ReadAllBytesAsync(_folder.File("with.png"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Nothing_right_is_nothing_to_draw()
    {
        Results.Of(Results.Row(1, 50).Wrong()).Save(_folder.File("r.json"));
        Assert.Equal(ExitCode.BadInput, (await Cli.Run("bench", "plot", _folder.File("r.json"))).ExitCode);
    }

    public void Dispose() => _folder.Dispose();

    private static int Colors(SKBitmap picture) => picture.Pixels.Distinct().Count();
}
