namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoePartialTests
{
    private readonly MoePartialBuffer _buffer = new(new MoeTensorView(4096, MoeDevice.Cpu, MoeElementType.Float32, rows: 8, columns: 5));

    [Fact]
    public void A_part_is_the_first_rows_of_the_memory()
    {
        MoePartial partial = _buffer.Lend(3);

        Assert.Equal((4096, 3, 5), (partial.View.Address, partial.View.Rows, partial.View.Columns));
        Assert.Equal(partial.View, partial.Take());
        Assert.True(partial.IsIn(_buffer));
    }

    [Fact]
    public void A_part_is_reduced_once()
    {
        MoePartial partial = _buffer.Lend(3);
        MoePartial copy = partial;
        partial.Take();

        Assert.Throws<InvalidOperationException>(() => partial.Take());
        Assert.Throws<InvalidOperationException>(() => copy.Take());
        Assert.Throws<InvalidOperationException>(() => copy.View);
    }

    [Fact]
    public void What_was_lent_before_is_over()
    {
        MoePartial first = _buffer.Lend(3);
        MoePartial second = _buffer.Lend(3);

        Assert.Throws<InvalidOperationException>(() => first.View);
        Assert.Throws<InvalidOperationException>(() => first.Take());
        Assert.Equal(3, second.Take().Rows);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(9)]
    public void More_rows_than_the_group_was_made_for_are_refused(int rows)
    {
        ArgumentOutOfRangeException error = Assert.Throws<ArgumentOutOfRangeException>(() => _buffer.Lend(rows));

        Assert.Contains("0 to 8 rows", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_default_value_is_no_part() => Assert.Throws<InvalidOperationException>(() => default(MoePartial).Take());

    [Theory]
    [InlineData(0, 4, 8, MoeElementType.BFloat16, 1, "Devices")]
    [InlineData(2, 0, 8, MoeElementType.BFloat16, 1, "MaxTokens")]
    [InlineData(2, 4, 0, MoeElementType.BFloat16, 1, "Width")]
    [InlineData(2, 4, 8, MoeElementType.Float16, 1, "ElementType")]
    [InlineData(2, 4, 8, MoeElementType.BFloat16, 0, "Timeout")]
    public void A_group_s_size_out_of_range_is_named(int ranks, int maxTokens, int width, MoeElementType type, int seconds, string name)
    {
        var request = new MoeGroupRequest
        {
            Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)],
            MaxTokens = maxTokens,
            Width = width,
            ElementType = type,
            Timeout = TimeSpan.FromSeconds(seconds),
        };

        MoeException error = Assert.Throws<MoeException>(request.Validate);

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
    }
}
