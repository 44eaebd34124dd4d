namespace Moe.Plugins.GptOss.Cuda;

/// <summary>How ranks gather the logits of texts: in rows of their group, which know nothing of texts, so many texts at once as the group has rows for.</summary>
internal sealed class LogitGather
{
    private readonly ModelShare _share;

    /// <param name="share">The rank's.</param>
    /// <param name="groupRows">The most rows that the group gathers at once, at least <see cref="LeastGroupRows"/>.</param>
    public LogitGather(ModelShare share, int groupRows)
    {
        _share = share;
        RowFloats = RowFloatsOf(share.Config);
        TextsAtOnce = (int)Math.Min((long)groupRows * RowFloats / share.MostTokens, ModelKernels.MostTexts);
    }

    /// <summary>Float32 of a row of the group, which is made for BF16 and the hidden size.</summary>
    public int RowFloats { get; }

    /// <summary>Texts whose logits are gathered at once.</summary>
    public int TextsAtOnce { get; }

    /// <summary>Rows of the group that hold the logits of one text.</summary>
    public static int LeastGroupRows(ModelShare share) => RowsOf(share.MostTokens, RowFloatsOf(share.Config));

    /// <summary>Float32 that a rank has of its own logits, and of what is gathered beyond their ends: as much of each rank, and whole rows.</summary>
    public static long OwnFloats(ModelShare share) => ((long)ModelKernels.MostTexts * share.MostTokens) + RowFloatsOf(share.Config);

    /// <summary>Rows of the group that hold the logits of so many texts, with which the rank's own begin at <see cref="First"/>.</summary>
    public int Rows(int texts) => RowsOf((long)texts * _share.MostTokens, RowFloats);

    /// <summary>Where in its own logits those of a text begin.</summary>
    public long First(int text) => (long)text * _share.Config.VocabularySize;

    /// <summary>What is gathered of so many texts.</summary>
    public ModelKernels.LogitPieces Pieces(nint gathered, int texts) => new()
    {
        First = gathered,
        Stride = (long)Rows(texts) * RowFloats,
        Tokens = _share.MostTokens,
        Vocabulary = _share.AllTokens,
    };

    private static int RowFloatsOf(GptOssConfig config) => config.HiddenSize * sizeof(ushort) / sizeof(float);

    private static int RowsOf(long floats, int rowFloats) => (int)((floats + rowFloats - 1) / rowFloats);
}
