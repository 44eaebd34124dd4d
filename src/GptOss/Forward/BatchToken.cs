namespace Moe.Plugins.GptOss;

/// <summary>One token of a batch.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Sequence">The text that it stands in.</param>
/// <param name="Position">Where.</param>
/// <param name="LogitRow">Which row of logits it asks for; −1 for none.</param>
internal readonly record struct BatchToken(int Id, GptOssSequence Sequence, int Position, int LogitRow);
