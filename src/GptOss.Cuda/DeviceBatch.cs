using System.Runtime.InteropServices;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>One token of a batch, as <c>gpt_oss_batch.cuh</c> has it.</summary>
/// <param name="Pages">Device address of the table of its text's pages.</param>
/// <param name="Id">Its id.</param>
/// <param name="Position">Where it stands.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct DeviceToken(nint Pages, int Id, int Position);

/// <summary>How a row's token is chosen, as <c>gpt_oss_draw.cuh</c> has it.</summary>
/// <param name="Unit">A number from 0 to 1 that says which token is drawn.</param>
/// <param name="Temperature">What logits are divided by; 0 for the likeliest token.</param>
/// <param name="Least">The weight from which on a token is in the draw, relative to the likeliest one's.</param>
/// <param name="TopP">The share of all weights that the likeliest ones in the draw have together; 1 for all.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct DeviceDraw(double Unit, float Temperature, float Least, double TopP = 1);

/// <summary>A token that was chosen, as <c>gpt_oss_candidate.cuh</c> has it.</summary>
/// <param name="Logit">Its logit.</param>
/// <param name="Id">Its id; −1 where logits are no numbers.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct DeviceCandidate(float Logit, int Id);

/// <summary>Neighbours of one text that one warp of attention has.</summary>
/// <param name="First">The first one's place in the batch.</param>
/// <param name="Count">How many.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct TokenGroup(int First, int Count);
